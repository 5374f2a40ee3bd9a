"""The desks as the settings want them: who may sit there, and what every desk works with."""

from collections.abc import Awaitable, Callable, Iterator
from importlib import resources

from msgspec import Struct

from sos.console.access import Access, Operator
from sos.console.acd import Distribution
from sos.console.desks import Desks
from sos.console.hub import Hub
from sos.console.outage import Outage
from sos.console.transcript import Transcript
from sos.incident.model import OperatorId
from sos.journal.configured import Kept
from sos.journal.readers import Reader
from sos.settings import Settings


class ControlRoom(Struct, frozen=True, kw_only=True):
    """What the desks share."""

    hub: Hub
    desks: Desks
    distribution: Distribution
    outage: Outage
    transcript: Transcript
    access: Access

    @classmethod
    async def of(cls, settings: Settings, kept: Kept) -> "ControlRoom":
        hub, desks = Hub(seen=(await kept.store.tree())[0] - 1), Desks(kept.clock)
        return cls(
            hub=hub,
            desks=desks,
            distribution=Distribution(kept.journal, desks),
            outage=Outage(kept.journal, hub),
            transcript=Transcript(kept.journal, hub),
            access=_access(settings, kept),
        )

    def readers(self) -> Iterator[Reader]:
        yield Reader(name="distribution", handle=self.distribution.handle, wants=self.distribution.WANTS)
        yield Reader(name="hub", handle=self.hub.handle, from_now=True)

    def work(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """What runs for ever."""
        yield "desk-watch", self.distribution.watch
        yield "outage", self.outage.watch


def base_map() -> bytes:
    return (resources.files("routing") / "data" / "japan_base.geojson").read_bytes()


def _access(settings: Settings, kept: Kept) -> Access:
    """Who may sit at a desk."""
    operators = tuple(
        Operator(id=OperatorId(each.id), name=each.name, token_digest=each.token_digest, supervisor=each.supervisor)
        for each in settings.operators
    )
    return Access(operators, secret=kept.keys.secret("session"), clock=kept.clock, secure=settings.secure)
