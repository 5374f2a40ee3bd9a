"""Voice as the settings want it: who carries it, the bridge, people on call, and the doors that callers come in by."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web
from msgspec import Struct
from prometheus_client import CollectorRegistry

from sos.calls.adapters.embedded.provider import EmbeddedProvider
from sos.calls.adapters.twilio import configured as twilio
from sos.calls.adapters.twilio.provider import TwilioProvider
from sos.calls.adapters.twilio.webhooks import OperatorOf
from sos.calls.agency import AgencyEndpoint, AgencyOf
from sos.calls.agency_callers import AgenciesAt, AgencyCallers
from sos.calls.bridge import Bridge, NumberOf
from sos.calls.http import IceEndpoint, IncidentOfCall, SenderOf, VehicleEndpoint
from sos.calls.interpreters import with_interpreters
from sos.calls.loudness import Loudness
from sos.calls.on_call import OnCall, Person, with_people
from sos.calls.playback import Playback
from sos.calls.playback_http import ListenerOf, PlaybackEndpoint
from sos.calls.port import Sound
from sos.calls.replay import Forks, Recordings
from sos.calls.turn import Turn
from sos.incident.model import LegId, OperatorId
from sos.journal.configured import Kept
from sos.journal.readers import Reader, by_incident
from sos.settings import Settings

log = structlog.get_logger()


class Callers(Struct, frozen=True, kw_only=True):
    """How the doors find out who calls, and about what."""

    sender_of: SenderOf
    operator_of: OperatorOf
    agency_of: AgencyOf
    incident_of_call: IncidentOfCall
    agencies_at: AgenciesAt
    listener_of: ListenerOf


class Calls(Struct, frozen=True, kw_only=True):
    """What is open while the service runs."""

    settings: Settings
    kept: Kept
    loudness: Loudness
    recordings: Path
    sounds: Recordings | Forks
    provider: EmbeddedProvider | TwilioProvider
    bridge: Bridge
    turn: Turn

    async def say(self, leg: LegId, sound: str, pcm: bytes) -> None:
        await self.provider.say(leg, Sound(id=sound, pcm=pcm))

    def readers(self) -> Iterator[Reader]:
        yield by_incident("bridge", self.bridge, at_once=None)
        wanted = self.settings.attendance.on_call
        if wanted and self.provider.dials:
            on_call = OnCall(self.kept.journal, _people(self.settings), hang_up=self.provider.end)
            yield by_incident("on-call", on_call, at_once=None)
        elif wanted:
            log.warning("on_call_unreachable", people=len(wanted), telephony=self.settings.telephony)

    def work(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """What runs for ever."""
        yield "voice", self.bridge.run
        provider = self.provider
        if isinstance(provider, TwilioProvider):
            yield "levels", lambda: self.loudness.watch(provider, self.kept.clock)

    def figures(self) -> tuple[CollectorRegistry, ...]:
        return (self.provider.metrics,) if isinstance(self.provider, TwilioProvider) else ()

    def open_doors(self, app: web.Application, callers: Callers) -> None:
        """Where vehicles, desks, agencies and, when it carries voice, Twilio come in."""
        vehicles = VehicleEndpoint(
            self.bridge,
            self.kept.journal,
            sender_of=callers.sender_of,
            incident_of_call=callers.incident_of_call,
            relays=lambda: self.turn.servers("vehicle"),
        )
        agencies = AgencyEndpoint(self.bridge, self.kept.journal, agency_of=callers.agency_of, turn=self.turn)
        relays = IceEndpoint(self.turn, sender_of=callers.sender_of, operator_of=callers.operator_of)
        heard = PlaybackEndpoint(Playback(self.kept.journal, self.recordings), listener_of=callers.listener_of)
        app.add_routes([*vehicles.routes(), *agencies.routes(), *relays.routes(), *heard.routes()])
        if self.settings.twilio is None or not isinstance(self.provider, TwilioProvider):
            return
        endpoint = twilio.door(
            self.settings,
            self.settings.twilio,
            exchange=self.provider,
            bridge=self.bridge,
            incident_of_call=callers.incident_of_call,
            agencies=AgencyCallers(self.kept.journal, callers.agencies_at),
            operator_of=callers.operator_of,
            clock=self.kept.clock,
        )
        app.add_routes(endpoint.routes())
        app.on_shutdown.append(endpoint.close)


@asynccontextmanager
async def calls(settings: Settings, kept: Kept, *, number_of: NumberOf) -> AsyncIterator[Calls]:
    """Voice, and what a killed process left of it: legs that are gone, recordings that are open.

    ``number_of``: the telephone numbers of agencies.
    """
    recordings = settings.data / "recordings"
    loudness = Loudness()
    turn = Turn(settings.turn_urls, kept.keys.secret("turn").hex(), clock=kept.clock)
    provider = _provider(settings, kept, turn, recordings=recordings, loudness=loudness)
    sounds = Forks(provider) if isinstance(provider, TwilioProvider) else Recordings(recordings, kept.journal)
    async with provider:
        lines = twilio.with_desks(number_of, settings.twilio)
        numbers = with_interpreters(with_people(lines, _people(settings)), settings.interpreters)
        bridge = Bridge(kept.journal, provider, number_of=numbers)
        await bridge.settle()
        yield Calls(
            settings=settings,
            kept=kept,
            loudness=loudness,
            recordings=recordings,
            sounds=sounds,
            provider=provider,
            bridge=bridge,
            turn=turn,
        )


def _provider(
    settings: Settings, kept: Kept, turn: Turn, *, recordings: Path, loudness: Loudness
) -> EmbeddedProvider | TwilioProvider:
    """Who carries voice."""
    if settings.telephony == "twilio" and settings.twilio is not None:
        return twilio.provider(settings, settings.twilio, recordings=recordings, clock=kept.clock)
    return EmbeddedProvider(
        recordings,
        clock=kept.clock,
        workers=settings.media_workers,
        ports=settings.media_port_range,
        relays=lambda: turn.servers("worker"),
        on_levels=loudness.hear,
    )


def _people(settings: Settings) -> tuple[Person, ...]:
    return tuple(Person(id=OperatorId(each.id), number=each.number) for each in settings.attendance.on_call)
