"""Live level and instant replay of a leg, from the copy of its sound that Twilio streams to us (Media Streams).

The copy is a fork (``<Start><Stream>``): when it breaks, or we are too slow for it, the call knows nothing of it.
Frames are 20 ms of G.711 mu-law at 8 kHz in base64.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from collections import deque
from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from sos.errors import Forbidden, Malformed
from sos.formats import body
from sos.media.heard import rms_dbov
from sos.media.meter import SILENCE, Reading

RATE_HZ = 8_000
FRAME_BYTES = 160
REPLAY_S = 60
"""What an operator can hear again at once; the recording has the rest."""
MOST_FRAME_BYTES = 8_000
"""A second: Twilio sends 20 ms; more is not Twilio."""
MOST_LEVELS = 50
"""A second of frames, should nobody ask how loud it is."""

_KEYS = frozenset("0123456789*#ABCD")


def _expanded() -> npt.NDArray[np.int16]:
    """ITU-T G.711 table 2a: the linear value of each mu-law byte."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = ((((code & 0x0F).astype(np.int32) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


_LINEAR = _expanded()


def linear(mu_law: bytes) -> npt.NDArray[np.int16]:
    """16-bit samples at 8 kHz."""
    return _LINEAR[np.frombuffer(mu_law, np.uint8)]


class Media(Struct, frozen=True):
    """One frame of sound."""

    payload: str
    track: str = "inbound"


class _Dtmf(Struct, frozen=True):
    digit: str


class _Start(Struct, frozen=True, rename="camel"):
    account_sid: str
    call_sid: str


class Message(Struct, frozen=True):
    """One message of the WebSocket; ``event`` is connected, start, media, dtmf, mark or stop."""

    event: str
    start: _Start | None = None
    media: Media | None = None
    dtmf: _Dtmf | None = None


_decoder = msgspec.json.Decoder(Message)


def read(text: str | bytes) -> Message:
    """``Malformed`` (Twilio's fault, or nobody's who should be here) when it is no message."""
    return body.read(_decoder, text, expected="this is no Media Streams message")


class Listening:
    """What was heard of one leg lately.  ``ours`` says whether the conversation is one that we may listen to."""

    rate_hz = RATE_HZ

    def __init__(self, ours: Callable[[], bool] = lambda: True) -> None:
        self._ours = ours
        self._frames: deque[bytes] = deque()
        self._kept = 0
        self._heard = 0
        """Samples since the beginning."""
        self._levels: list[int] = []
        self.level_db = float(SILENCE)
        """Of the newest frame, dB below full scale (RMS)."""

    def hear(self, media: Media) -> None:
        """Take one frame; ``Malformed`` when it is none."""
        try:
            frame = b64decode(media.payload, validate=True)
        except (NotBase64, ValueError) as wrong:
            raise Malformed("a frame is base64", field="$.media.payload") from wrong
        if not 0 < len(frame) <= MOST_FRAME_BYTES:
            raise Malformed("a frame has 1 to 8000 bytes", field="$.media.payload")
        level = rms_dbov(linear(frame))
        self.level_db = float(level)
        self._levels = [*self._levels[-MOST_LEVELS:], level]
        if not self._ours():  # what was said before is not given away to who comes back later, and nothing is added
            self._frames.clear()
            self._kept = 0
            return
        self._frames.append(frame)
        self._kept += len(frame)
        self._heard += len(frame)
        while self._kept > REPLAY_S * RATE_HZ:
            self._kept -= len(self._frames.popleft())

    def read(self) -> Reading:
        """How loud it was since the last time; silence when nothing was heard."""
        levels, self._levels = self._levels, []
        if not levels:
            return Reading(SILENCE, SILENCE)
        powers = [10.0 ** (level / 10) for level in levels]
        return Reading(max(SILENCE, round(10 * float(np.log10(sum(powers) / len(powers))))), max(levels))

    def replay(self, seconds: float = REPLAY_S) -> bytes:
        """The newest ``seconds`` at most, mu-law."""
        kept = b"".join(self._frames)
        return kept[-round(seconds * RATE_HZ) :] if seconds > 0 else b""

    def recent(self, seconds: float) -> npt.NDArray[np.int16]:
        """The newest ``seconds`` at most, linear."""
        return linear(self.replay(seconds))

    def since(self, at: int) -> tuple[int, npt.NDArray[np.int16]]:
        """Where what is kept from sample ``at`` on begins, and that sound."""
        new = min(self._kept, max(0, self._heard - at))
        return self._heard - new, linear(self.replay(new / RATE_HZ))


class Fork:
    """One WebSocket of Twilio's.  ``own`` says whose sound a call is to be; ``pressed`` is told keys.

    ``wanted``: whether the leg is still there: a call that is a leg of another incident now has a stream there.
    """

    def __init__(
        self,
        own: Callable[[str], Listening | None],
        pressed: Callable[[str], None],
        *,
        account: str,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._own = own
        self._pressed = pressed
        self._account = account
        self._wanted = wanted
        self._listening: Listening | None = None

    def take(self, text: str) -> bool:
        """Use one message; False when nothing more is wanted of this socket.

        ``Malformed`` for what is none; ``Forbidden`` for the stream of another account or another call.
        """
        message = read(text)
        if message.start is not None:
            self._listening = self._own(message.start.call_sid) if message.start.account_sid == self._account else None
            if self._listening is None:
                raise Forbidden("this stream is of no call of ours")
        elif not self._wanted():
            return False
        elif message.media is not None and self._listening is not None and message.media.track == "inbound":
            self._listening.hear(message.media)
        elif message.dtmf is not None and self._listening is not None and message.dtmf.digit in _KEYS:
            self._pressed(message.dtmf.digit)
        return message.event != "stop"
