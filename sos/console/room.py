"""What every desk works with; the composition root hands it in."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from msgspec import Struct

from routing.cards import Cards, shipped
from routing.directory import Directory
from sos.console.acd import Distribution
from sos.console.desks import Desks
from sos.console.finding import Finder
from sos.console.frames import VoiceBy
from sos.console.hub import Hub
from sos.console.outage import Outage
from sos.console.port import Agencies, Codes, Disclose, MassEventsHere, Places, Replay, Voice
from sos.console.transcript import Transcript
from sos.incident.languages import Interpreter
from sos.incident.model import AgencyId, OperatorId, TenantId
from sos.journal.journal import Journal

LanguageOf = Callable[[AgencyId], str | None]
"""In which language a brief can be read to an agency by machine; None: it cannot."""


def no_voice(_: AgencyId) -> str | None:
    """Nothing is read by machine."""
    return None


class Room(Struct, frozen=True, kw_only=True):
    journal: Journal
    hub: Hub
    outage: Outage
    desks: Desks
    distribution: Distribution
    voice: Voice
    disclose: Disclose
    directory: Directory
    demo: bool
    boot: str
    """Differs after each start, so that a desk knows that the other end of its voice leg is gone."""
    brands: Callable[[], Mapping[str, object]] = dict
    """By tenant: the brand's name and what is said in it."""
    cards: Callable[[TenantId], Cards] = lambda _: shipped()
    """What is asked in the name of a brand."""
    agencies: Agencies
    codes: Codes
    lines: Mapping[str, Mapping[str, str]] = {}
    """By agency: the telephone numbers of its lines, for an operator who has to dial."""
    dials: bool = False
    """Whether the house itself reaches telephone numbers."""
    colleagues: Mapping[OperatorId, str] = {}
    """Who may sit at a desk: names by the operator's id."""
    transcript: Transcript
    finder: Finder
    replay: Replay
    mass_events: MassEventsHere
    places: Places
    interpreters: Sequence[Interpreter] = ()
    speaks: LanguageOf = no_voice
    """In which language a brief can be read to an agency by machine."""
    nuisance: timedelta = timedelta(days=30)
    """How long a desk is told that a vehicle's button was misused."""
    voice_of: Callable[[str], VoiceBy] = lambda _: "webrtc"
    """How an operator's desk takes part in calls; ``sdk`` is Twilio's."""

    def name_of(self, known: str) -> tuple[str, str] | None:
        """Japanese and English name of an agency or a colleague; None where ``known`` is the id of neither."""
        if (agency := self.directory.agencies.get(known)) is not None:
            return agency.name_ja, agency.name_en
        colleague = self.colleagues.get(OperatorId(known))
        return None if colleague is None else (colleague, colleague)
