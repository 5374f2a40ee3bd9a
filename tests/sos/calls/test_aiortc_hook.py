"""Guards the private names of aiortc that voice rests on: an upgrade must fail here, not in a call."""

import inspect
from asyncio.selector_events import _SelectorDatagramTransport
from importlib.metadata import version

from aioice.ice import Connection, StunProtocol, relayed_candidate, server_reflexive_candidate
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpTransceiver
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket

from sos.calls.adapters.embedded.ice import Ice
from sos.calls.adapters.embedded.transport import RtpTransport, StillTrack


def ice_of(transceiver: RTCRtpTransceiver) -> Ice:
    return Ice(transceiver.receiver.transport.transport._connection, within_s=1)


async def receiver() -> RTCRtpReceiver:
    return RTCPeerConnection().addTransceiver("audio").receiver


def test_the_installed_aiortc_is_the_one_the_hook_was_written_for() -> None:
    assert (version("aiortc"), version("aioice")) == ("1.16.0", "0.13.0")


def test_aiortc_calls_the_hook_by_the_name_and_keyword_that_we_replace() -> None:
    signature = inspect.signature(RTCRtpReceiver._handle_rtp_packet)

    assert list(signature.parameters) == ["self", "packet", "arrival_time_ms"]
    assert "receiver._handle_rtp_packet(packet, arrival_time_ms=arrival_time_ms)" in inspect.getsource(
        RTCDtlsTransport._handle_rtp_data
    )


async def test_the_short_way_finds_the_private_names_it_rests_on() -> None:
    transceiver = RTCPeerConnection().addTransceiver(StillTrack())
    dtls = transceiver.receiver.transport
    sender = vars(transceiver.sender)

    names = ("packet_count", "octet_count", "rtp_timestamp", "ntp_timestamp")
    assert {f"_RTCRtpSender__{name}" for name in names} <= sender.keys()
    assert {"_rx_srtp", "_tx_srtp", "_state"} <= vars(dtls).keys()
    assert {"_protocols", "_nominated", "_queue"} <= vars(dtls.transport._connection).keys()
    assert isinstance(transceiver._headerExtensions, list)
    assert "self.transport.sendto(data, addr)" in inspect.getsource(StunProtocol.send_data)
    assert "self.receiver.data_received(" in inspect.getsource(StunProtocol.datagram_received)


def test_the_guard_of_the_sockets_stands_where_aioice_passes() -> None:
    request = inspect.getsource(Connection.request_received)
    assert request.index("check_message_integrity") < request.index("self.check_incoming(message, addr, protocol)")
    assert "self.respond_error(message, addr, protocol, (401" in request
    assert "self.check_incoming(*early_check)" in inspect.getsource(Connection.connect)
    assert "self.check_complete(pair)" in inspect.getsource(Connection.check_start)
    assert "self.get_component_candidates(component=component, addresses=addresses)" in inspect.getsource(
        Connection.gather_candidates
    )
    assert list(inspect.signature(relayed_candidate).parameters) == [
        "component", "hide_related_address", "protocol_factory", "turn_server", "turn_username", "turn_password",
        "turn_ssl", "turn_transport",
    ]  # fmt: skip
    assert list(inspect.signature(server_reflexive_candidate).parameters) == ["protocol", "stun_server"]


async def test_aiortc_reports_what_was_sent_past_it() -> None:
    transceiver = RTCPeerConnection().addTransceiver(StillTrack())
    transport = RtpTransport(transceiver, lambda packet: None, ice=ice_of(transceiver), payload_type=111)

    transport.account()

    assert vars(transceiver.sender)["_RTCRtpSender__ntp_timestamp"] > 0


async def test_the_loss_that_the_other_end_reports_is_found() -> None:
    transceiver = RTCPeerConnection().addTransceiver(StillTrack())
    transport = RtpTransport(transceiver, lambda packet: None, ice=ice_of(transceiver), payload_type=111)
    assert transport.reported_loss() == 0.0

    report = RtcpReceiverInfo(
        ssrc=transceiver.sender._ssrc, fraction_lost=64, packets_lost=5, highest_sequence=9, jitter=0, lsr=0, dlsr=0
    )
    await transceiver.sender._handle_rtcp_packet(RtcpRrPacket(ssrc=7, reports=[report]))

    assert transport.reported_loss() == 0.25


def test_a_datagram_is_read_in_small_pieces() -> None:
    assert "self.max_size" in inspect.getsource(_SelectorDatagramTransport)
