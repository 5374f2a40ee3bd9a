"""EmergencyCallData.Control: what a call centre says to a vehicle, both ways."""

import pytest
from hypothesis import given, settings

from sos.errors import Malformed
from sos.formats import control
from sos.formats.control import Ack, ActionResult, Control, Request
from tests.sos.formats.fuzz import ALONE
from tests.sos.formats.strategies import controls
from tests.wire.formats.make import HERE

ASKS = (HERE / "control_asks.xml").read_bytes()


@given(controls)
@settings(deadline=None)
def test_reading_what_was_written_gives_the_same_document(sent):
    assert control.read(control.write(sent)) == sent


def test_four_requests_and_the_slips_of_the_published_example_are_read():
    assert control.read(ASKS) == Control(
        acks=(
            Ack(
                ref="msd@car.example.com",
                received=True,
                results=(
                    ActionResult(action="lamp", success=False, reason="unable", details="The lamp is broken"),
                ),
            ),
        ),
        capabilities=(Request(action="send-data", supported_values=("VEDS", "eCall.MSD")),),
        requests=(
            Request(action="send-data", datatype="VEDS"),
            Request(action="lamp", element_id="hazard", requested_state="flash", persistence="PT1H"),
            Request(action="msg-static", int_id=1),
            Request(action="msg-dynamic", text="Help is on the way."),
        ),
    )  # fmt: skip


def test_an_acknowledgement_and_a_request_for_data_are_as_the_rfc_has_them():
    assert b'<ack received="false" ref="1@car.example.com"/>' in control.write(
        control.acknowledged("1@car.example.com", received=False)
    )
    assert b'<request action="send-data" datatype="eCall.MSD"/>' in control.write(control.data_wanted())


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"<a/>",
        b"<EmergencyCallData.Control><ack/></EmergencyCallData.Control>",
        b"<EmergencyCallData.Control><request/></EmergencyCallData.Control>",
        b'<EmergencyCallData.Control><ack ref="a" received="perhaps"/></EmergencyCallData.Control>',
        b"<!DOCTYPE a><EmergencyCallData.Control/>",
    ],
)
def test_what_is_no_control_document_is_refused(wrong):
    with pytest.raises(Malformed):
        control.read(wrong)


def test_a_text_that_xml_cannot_hold_is_not_written():
    with pytest.raises(Malformed):
        control.write(Control(requests=(Request(action="msg-dynamic", text="\0"),)))


def test_damaged_documents_give_something_to_rely_on_or_the_one_documented_error():
    check, documents = ALONE["control"]

    assert {check(document) for document in documents(8, 3_000)} == {"accepted", "refused"}
