"""Packets are taken before aiortc's jitter buffer: its loss statistics stay fed, and no error of ours reaches it."""

from aiortc import RTCPeerConnection, RTCRtpReceiver
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtpPacket

from sos.vehicle.rtp import take_rtp


async def receiver() -> RTCRtpReceiver:
    return RTCPeerConnection().addTransceiver("audio").receiver


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


async def test_a_sender_with_ever_new_streams_does_not_fill_the_memory() -> None:
    hooked = await receiver()
    taken: list[int] = []
    take_rtp(hooked, lambda packet: taken.append(packet.ssrc))

    for ssrc in range(100):
        await hooked._handle_rtp_packet(RtpPacket(ssrc=ssrc), arrival_time_ms=0)

    assert taken == list(range(100))
    assert len(hooked._RTCRtpReceiver__remote_streams) == 4
