"""What we tell Twilio to do with a leg: one place for every option whose default is wrong for an emergency.

A leg that calls us gets TwiML, a leg that we call gets the parameters of the Participants API; both come from
``Conference`` here, so that no leg differs by how it came.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from twilio.twiml.voice_response import Dial, Start, VoiceResponse

from sos.incident.model import IncidentId, LegId, Party, RecordingId

OVERRIDES = "#ct=2000&rt=3000&rc=2&rp=all"
"""Connection overrides of a webhook: connect within 2 s, answer within 3 s, twice again.  Twilio's own values (5 s,
15 s, once and only on a failed connection) would leave a caller in silence for half a minute."""

CALL_EVENTS = ("initiated", "ringing", "answered", "completed")
CONFERENCE_EVENTS = ("start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement")
RECORDING_EVENTS = ("in-progress", "completed", "absent")

RING_S = 30
"""How long it rings before ``no-answer``; Twilio adds a buffer of 5 s.  The hand-off ladder moves on meanwhile."""


class Urls(Struct, frozen=True, kw_only=True):
    """Where Twilio finds us: ``base`` from the settings, never from a request's Host."""

    base: str

    def leg(self, incident: IncidentId, leg: LegId) -> str:
        return self._with_overrides(f"/twilio/legs/{quote(incident)}/{quote(leg)}")

    def conference(self, incident: IncidentId, recording: RecordingId) -> str:
        return self._with_overrides(f"/twilio/conferences/{quote(incident)}/{quote(recording)}")

    def recording(self, incident: IncidentId, leg: LegId) -> str:
        return self._with_overrides(f"/twilio/recordings/{quote(incident)}/{quote(leg)}")

    def wait(self) -> str:
        return self._with_overrides("/twilio/wait")

    def hold(self) -> str:
        return self._with_overrides("/twilio/hold")

    def notice(self, name: str) -> str:
        return self._with_overrides(f"/twilio/notices/{quote(name)}")

    def played(self, name: str) -> str:
        return self._with_overrides(f"/twilio/said/{quote(name)}")

    def played_sound(self, name: str) -> str:
        return f"{self.base}/twilio/said/{quote(name)}.wav"

    def sound(self, name: str) -> str:
        return f"{self.base}/twilio/sounds/{quote(name)}.wav"

    def stream(self, incident: IncidentId, leg: LegId) -> str:
        """No query: ``<Stream>`` takes none."""
        return f"ws{self.base.removeprefix('http')}/twilio/stream/{quote(incident)}/{quote(leg)}"

    def _with_overrides(self, path: str) -> str:
        return f"{self.base}{path}{OVERRIDES}"


class Conference(Struct, frozen=True, kw_only=True):
    """One incident's conference at Twilio and how every leg enters it."""

    incident: IncidentId
    recording: RecordingId
    urls: Urls
    region: str = ""
    """Where Twilio mixes, such as ``jp1``; empty: where most participants are."""
    ring_s: int = RING_S
    jitter_buffer: str = "small"
    """Twilio's default ``large`` adds up to 300 ms to each word."""

    def dialled(self, leg: LegId, *, caller: str, number: str, muted: bool = False) -> dict[str, Any]:
        """Parameters of ``participants.create`` for a leg that we call.

        ``muted``: nobody hears whoever picks up, until an update says otherwise; it cannot be held from the start.
        """
        return {
            "from_": caller,
            "to": number,
            "label": leg,
            "timeout": self.ring_s,
            "early_media": True,  # the operator hears it ring
            "beep": "false",
            "start_conference_on_enter": True,
            "end_conference_on_exit": False,  # whoever leaves, the others go on; the end is ours to say
            "wait_url": self.urls.wait(),
            "wait_method": "POST",
            "jitter_buffer_size": self.jitter_buffer,
            "status_callback": self.urls.leg(self.incident, leg),
            "status_callback_method": "POST",
            "status_callback_event": list(CALL_EVENTS),
            # Only the first participant's conference settings count, and nobody knows who will be first: all have them.
            "conference_status_callback": self.urls.conference(self.incident, self.recording),
            "conference_status_callback_method": "POST",
            "conference_status_callback_event": list(CONFERENCE_EVENTS),
            "conference_record": "do-not-record",  # its mix has no tracks; each leg is recorded instead
            "conference_trim": "do-not-trim",
            "trim": "do-not-trim",  # trimmed silence would move everything after it on the timeline
            "record": True,
            "recording_channels": "dual",
            "recording_track": "both",
            "recording_status_callback": self.urls.recording(self.incident, leg),
            "recording_status_callback_method": "POST",
            "recording_status_callback_event": list(RECORDING_EVENTS),
            **({"muted": True} if muted else {}),
            **({"region": self.region} if self.region else {}),
        }

    def answered(self, leg: LegId, *, party: Party) -> str:
        """TwiML for a leg that called us: recorded and forked from its first moment, then into the conference."""
        response = VoiceResponse()
        recorded = Start()
        recorded.recording(
            channels="dual",
            track="both",
            trim="do-not-trim",
            recording_status_callback=self.urls.recording(self.incident, leg),
            recording_status_callback_method="POST",
            recording_status_callback_event=" ".join(RECORDING_EVENTS),
        )
        response.append(recorded)
        forked = Start()
        forked.stream(name=f"{party}-{leg}", url=self.urls.stream(self.incident, leg), track="inbound_track")
        response.append(forked)
        dial = Dial(answer_on_bridge=False)
        dial.conference(
            self.incident,
            participant_label=leg,
            beep="false",
            start_conference_on_enter=True,
            end_conference_on_exit=False,
            wait_url=self.urls.wait(),
            wait_method="POST",
            record="do-not-record",
            trim="do-not-trim",
            jitter_buffer_size=self.jitter_buffer,
            status_callback=self.urls.conference(self.incident, self.recording),
            status_callback_method="POST",
            status_callback_event=" ".join(CONFERENCE_EVENTS),
            **({"region": self.region} if self.region else {}),
        )
        response.append(dial)
        return str(response)


def waiting(urls: Urls, *, sound: str) -> str:
    """What one hears alone in a conference or on hold: our own tone, over and over, until somebody comes."""
    return playing((urls.sound(sound),), loop=0)


def playing(addresses: Sequence[str], *, loop: int = 1) -> str:
    """TwiML that plays sounds; ``loop`` 0 is without end."""
    response = VoiceResponse()
    for address in addresses:
        response.play(address, loop=loop)
    return str(response)


def to_people(number: str, *, caller: str, ring_s: int = RING_S) -> str:
    """TwiML when nothing of ours can take a call: straight to a telephone where people sit, recorded at Twilio."""
    response = VoiceResponse()
    dial = Dial(caller_id=caller, timeout=ring_s, record="record-from-ringing-dual", trim="do-not-trim")
    dial.number(number)
    response.append(dial)
    return str(response)


def turned_away() -> str:
    """TwiML for a desk that may not join."""
    response = VoiceResponse()
    response.reject(reason="rejected")
    return str(response)
