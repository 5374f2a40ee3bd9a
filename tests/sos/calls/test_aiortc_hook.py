"""Guards the private names of aiortc that the media plane rests on: an upgrade must fail here, not in a call."""

import inspect
from importlib.metadata import version

import av
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.codecs import get_encoder
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtpPacket

from sos.media import opus
from sos.media.rtp import take_rtp


async def receiver() -> RTCRtpReceiver:
    return RTCPeerConnection().addTransceiver("audio").receiver


def test_the_installed_aiortc_is_the_one_the_hook_was_written_for() -> None:
    assert version("aiortc") == "1.16.0"


def test_aiortc_calls_the_hook_by_the_name_and_keyword_that_we_replace() -> None:
    signature = inspect.signature(RTCRtpReceiver._handle_rtp_packet)

    assert list(signature.parameters) == ["self", "packet", "arrival_time_ms"]
    assert "receiver._handle_rtp_packet(packet, arrival_time_ms=arrival_time_ms)" in inspect.getsource(
        RTCDtlsTransport._handle_rtp_data
    )


async def test_the_receivers_own_loss_statistics_stay_fed() -> None:
    hooked = await receiver()
    take_rtp(hooked, lambda packet: None)

    for number in (1, 2, 4):
        await hooked._handle_rtp_packet(RtpPacket(sequence_number=number, ssrc=9), arrival_time_ms=0)

    statistics = hooked._RTCRtpReceiver__remote_streams[9]
    assert isinstance(statistics, StreamStatistics)
    assert (statistics.packets_received, statistics.packets_lost) == (3, 1)


async def test_no_exception_of_ours_reaches_aiortc() -> None:
    hooked = await receiver()
    seen: list[int] = []

    def take(packet: RtpPacket) -> None:
        seen.append(packet.sequence_number)
        raise RuntimeError("ours")

    take_rtp(hooked, take)
    for number in range(2):
        await hooked._handle_rtp_packet(RtpPacket(sequence_number=number), arrival_time_ms=0)

    assert seen == [0, 1]


async def test_the_sender_only_packetises_an_encoded_packet() -> None:
    codec = next(c for c in RTCRtpSender.getCapabilities("audio").codecs if c.mimeType == "audio/opus")
    packet = av.Packet(opus.comfort()[0])
    packet.pts, packet.time_base = 12_345, opus.TIME_BASE

    payloads, timestamp = get_encoder(codec).pack(packet)

    assert payloads == [opus.comfort()[0]]
    assert timestamp == 12_345
    assert "self.__encoder.pack(data)" in inspect.getsource(RTCRtpSender._next_encoded_frame)
