"""Nobody who merely knows a port can keep a call from coming up: ``python -m tests.sos.calls.strangers`` does many."""

from collections.abc import Callable

import pytest
from aioice import stun

from sos.calls.adapters.embedded.dtls import without_plain_alerts
from sos.calls.adapters.embedded.media_server import MediaServer
from tests.sos.calls.peers import Events, Peer
from tests.sos.calls.strangers import check, forgeries, handshake, record, set_up

ALERT = record(21, b"\x02\x28")
SEALED = record(21, b"\x02\x28", epoch=1)
HELLO = handshake(1, b"\xfe\xfd" + bytes(33))


async def test_calls_come_up_and_go_on_while_strangers_spray_their_ports(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    events = Events(provider)

    for number in range(3):
        _, sent = await set_up(provider, events, new_peer(number), speaks_s=0.3)
        assert sent > 100


@pytest.mark.parametrize(
    ("datagram", "kept"),
    [
        (ALERT, b""),
        (ALERT + HELLO + ALERT, HELLO),
        (SEALED, SEALED),
        (HELLO, HELLO),
        (HELLO + ALERT[:-1], HELLO),
        (HELLO[:-1], b""),
        (b"\x16", b""),
    ],
    ids=lambda part: f"{len(part)}-octets",
)
def test_an_alert_that_anybody_can_write_never_reaches_the_handshake(datagram: bytes, kept: bytes) -> None:
    assert without_plain_alerts(datagram) == kept


def test_what_strangers_send_is_what_it_says() -> None:
    """Otherwise the spray would prove nothing."""
    assert stun.parse_message(check("a:b", "x" * 22)).attributes["USERNAME"] == "a:b"
    assert {each[0] for each in forgeries("a:b") if each} >= {0, 1, 20, 21, 22, 23, 128}
