"""The contract of the desk's orders: every field known, bounded and said; who may give which; one place for each."""

import json
from typing import Any, get_args

import msgspec
import pytest

from sos.clock import ManualClock
from sos.console.orders import contract
from sos.console.orders.order import May, Order
from sos.errors import Forbidden, Malformed, SosError
from sos.incident.model import IncidentId, TenantId
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window

WHOLE: dict[str, dict[str, Any]] = {
    "ready": {},
    "away": {},
    "beat": {},
    "answer": {},
    "open": {"purpose": "emergency_handling"},
    "refresh": {},
    "history": {},
    "find": {"purpose": "review"},
    "note": {"text": "two are hurt"},
    "move": {"adopted": True},
    "place": {"text": "by the bridge"},
    "say_place": {"how": "road"},
    "read_back": {"disclosure": "d-1", "version": 1, "agreed": True, "with_code": True},
    "settle_heard": {"adopted": True},
    "match": {"other": "i-2", "relation": "same_crash", "approved": True},
    "link": {"other": "i-2", "share": "vehicle"},
    "unlink": {},
    "crash": {"anew": True},
    "earlier": {},
    "tell_vehicle": {"action": "ack"},
    "kind": {"kind": "breakdown"},
    "language": {"language": "ko"},
    "interpreter": {},
    "card": {"question": "trapped", "value": "yes"},
    "decline": {"services": ["police"], "reason": "not_needed", "words": "nobody needs them"},
    "close": {"disposition": "false_alarm"},
    "reopen": {"reason": "they call again"},
    "disclose": {"agency": "jp-13-fire"},
    "consent": {"answer": "agreed"},
    "approve": {"referral": "r-1", "approved": False},
    "agency_said": {"disclosure": "d-1", "said": "heard"},
    "acknowledge": {"alarm": "alarm-1"},
    "assist": {},
    "take_over": {"holder": "hanako", "reason": "asked"},
    "hand_over": {"to": "jiro"},
    "answer_handover": {"accepted": True},
    "end_shift": {"to": "jiro"},
    "declare_mass_event": {"seen": 0, "name": "invented quake", "hours": 6},
    "change_mass_event": {"mass_event": "m-1", "seen": 0, "name": "invented quake", "hours": 6},
    "end_mass_event": {"mass_event": "m-1", "seen": 0},
    "dismiss_mass_event": {"mass_event": "m-1", "seen": 0},
    "answer_mass_telling": {"mass_event": "m-1", "agency": "jp-13-fire", "place": "13104", "how": "each"},
    "reveal": {"category": "MED", "purpose": "emergency_handling"},
    "medical": {"text": "diabetic", "source": "family"},
    "owed": {},
    "meet": {"obligation": "protected_person", "about": "d-1", "outcome": "done", "words": "the cyclist"},
    "request": {
        "recipient": "INV",
        "path": "inquiry",
        "scope": ["LOC"],
        "issuer": "invented station",
        "person": "invented sergeant",
        "call_back": "+81300000110",
        "channel": "letter",
    },
    "check_request": {"request": "q-1", "fact": "document_on_file", "words": "read it"},
    "approve_request": {"request": "q-1"},
    "answer_request": {"request": "q-1"},
    "requests": {},
    "read_request": {"request": "q-1"},
    "refuse_request": {"request": "q-1", "reason": "no_ground", "words": "no provision lets us"},
    "release": {"request": "q-1", "purpose": "review", "reason": "asked about it"},
    "mode": {"leg": "leg-vehicle", "held": True, "muted": False},
    "invite": {"agency": "jp-13-fire"},
    "dial": {"agency": "jp-13-fire", "line": "first"},
    "call_vehicle": {},
    "notice": {"leg": "leg-vehicle", "notice": "silent"},
    "speak_brief": {"leg": "leg-fire"},
    "end_leg": {"leg": "leg-fire"},
    "leave_call": {},
    "answered": {"how": "speech"},
    "wait_longer": {"seconds": 30, "because": "line"},
    "about_code": {"code": "4021 9876"},
}
"""Each order with all that it must say besides its incident, and nothing else."""

KINDS: dict[str, type[Order]] = {kind.__struct_config__.tag: kind for kind in get_args(contract.AnyOrder)}
OF_MASS_EVENTS = (
    "declare_mass_event",
    "change_mass_event",
    "end_mass_event",
    "dismiss_mass_event",
    "answer_mass_telling",
)
ANYBODY = ("ready", "away", "beat", "answer", "end_shift", "owed", "requests", "find", *OF_MASS_EVENTS)


def sent(do: str, **fields: Any) -> Order:
    of = {} if do in ANYBODY else {"incident": "i-1"}
    return contract.order_of(json.dumps({"id": 1, "do": do, **of, **WHOLE[do], **fields}))


def test_every_order_there_is_can_be_sent():
    assert set(WHOLE) == set(KINDS)
    assert {do: type(sent(do)) for do in WHOLE} == KINDS


@pytest.mark.parametrize("do", WHOLE)
def test_a_field_that_the_order_does_not_have_is_refused(do: str):
    with pytest.raises(Malformed, match="heldd"):
        sent(do, heldd=True)


@pytest.mark.parametrize(("do", "field"), [(do, field) for do, fields in WHOLE.items() for field in fields])
def test_what_an_order_must_say_is_said(do: str, field: str):
    said = {name: value for name, value in WHOLE[do].items() if name != field}
    unsaid = {"id": 1, "do": do, **({} if do in ANYBODY else {"incident": "i-1"}), **said}
    if do == "place":
        return  # its text or its position: which, is seen when it is obeyed

    with pytest.raises(Malformed, match=field):
        contract.order_of(json.dumps(unsaid))


def test_an_approval_without_its_answer_and_a_mode_that_says_half_are_refused():
    with pytest.raises(Malformed, match="approved"):
        contract.order_of('{"id":1,"do":"approve","incident":"i","referral":"r"}')
    with pytest.raises(Malformed, match="heldd"):
        contract.order_of('{"id":1,"do":"mode","incident":"i","leg":"l","heldd":true}')
    with pytest.raises(Malformed, match="muted"):
        contract.order_of('{"id":1,"do":"mode","incident":"i","leg":"l","held":true}')


@pytest.mark.parametrize("do", WHOLE)
def test_every_text_list_and_number_is_bounded(do: str):
    schema = msgspec.json.schema(KINDS[do])
    (name,) = (name for name in schema["$defs"] if name == KINDS[do].__name__)
    fields = schema["$defs"][name]["properties"]

    open_ended = [
        field
        for field, told in fields.items()
        for shape in told.get("anyOf", [told])
        if (shape.get("type") == "string" and "maxLength" not in shape)
        or (shape.get("type") == "array" and "maxItems" not in shape)
        or (shape.get("type") in ("integer", "number") and "maximum" not in shape)
    ]

    assert [field for field in open_ended if field != "do"] == []


def test_an_order_that_cannot_be_read_is_answered_under_its_number_and_quotes_little():
    for frame, number in (
        ('{"id":7,"do":"dance"}', 7),
        ('{"id":7,"do":"note","incident":"i","text":5}', 7),
        ('{"id":-1,"do":"ready"}', 0),
        ("[]", 0),
        ("{", 0),
    ):
        with pytest.raises(Malformed):
            contract.order_of(frame)
        assert contract.number_of(frame) == number
    with pytest.raises(Malformed, match="no such order"):
        contract.order_of('{"id":7,"do":"dance"}')
    with pytest.raises(Malformed) as long:
        contract.order_of(json.dumps({"id": 1, "do": "ready", "x" * 60_000: 1}))
    assert len(str(long.value)) <= contract.LONGEST_COMPLAINT


@pytest.fixture
async def incident(journal: Journal, clock: ManualClock) -> IncidentId:
    opened = await journal.open(s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=clock.now())
    await journal.execute(opened.incident, s.take("hanako"), actor="operator:hanako")
    return opened.incident


@pytest.mark.parametrize("do", WHOLE)
async def test_an_order_is_for_those_whom_it_names(do: str, journal: Journal, incident: IncidentId):
    house = room(journal, Ears())
    fields = WHOLE[do] if do in ANYBODY else {"incident": incident, **WHOLE[do]}
    forbidden = set()
    for who, supervisor in (("hanako", False), ("taro", False), ("jiro", True)):
        try:
            await order(window(house, who, supervisor=supervisor), do, **fields)
        except Forbidden:
            forbidden.add(who)
        except (SosError, NotImplementedError):
            pass

    assert (
        forbidden
        == {
            May.ANY_DESK: set(),
            May.WHO_HAS_IT: {"taro", "jiro"},
            May.SUPERVISOR: {"hanako", "taro"},
            May.EITHER: {"taro"},
        }[KINDS[do].may]
    )
