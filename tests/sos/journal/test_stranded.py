"""What our own code cannot write waits in the spool, then lies aside; nobody behind it waits for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recording.keys import KeyStore, WrappedKey
from sos.clock import ManualClock
from sos.errors import Unknown
from sos.journal.asides import Asides
from sos.journal.journal import Journal
from sos.journal.spool import Spool
from sos.journal.store import Store
from sos.journal.stranded import TRIES
from tests.sos.journal.reports import TENANT, opened, report


class Sick(KeyStore):
    """Wraps no key for one incident after another, as long as it is told so."""

    failing = 0

    def wrap(self, dek: bytes, *, retention: str, month: str, context: bytes) -> WrappedKey:
        if self.failing:
            self.failing -= 1
            raise RuntimeError("a mistake of ours")
        return super().wrap(dek, retention=retention, month=month, context=context)


@pytest.fixture
def sick(tmp_path: Path) -> Sick:
    return Sick(tmp_path / "sick-keys")


@pytest.fixture
async def journal(store: Store, sick: Sick, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    async with Journal(store, sick, Spool(tmp_path / "spool", sick.secret("spool")), clock=clock) as opened:
        yield opened


async def test_a_report_that_our_own_code_cannot_write_is_acknowledged_from_the_spool(
    journal: Journal, sick: Sick
) -> None:
    sick.failing = 1

    received = await opened(journal, 1)

    assert received.durability == "spooled"
    assert await journal.drain() == 1
    assert (await journal.state(received.incident)).version == 1


async def test_one_that_cannot_be_drained_delays_no_other_and_lies_aside_until_it_can(
    journal: Journal, store: Store, sick: Sick, clock: ManualClock
) -> None:
    sick.failing = 2
    poisoned, other = await opened(journal, 1), await opened(journal, 2)
    asides = Asides(store, [journal.stranded], clock=clock)

    sick.failing = 1
    assert await journal.drain() == 1  # the other one
    assert (await journal.state(other.incident)).version == 1
    for _ in range(TRIES - 2):
        sick.failing = 1
        assert await journal.drain() == 0
        assert journal.spool_oldest is not None
    sick.failing = 1
    assert await journal.drain() == 1

    await asides.look()
    (aside,) = await store.asides(limit=9)
    assert (aside.reader, aside.stream, aside.error, aside.tries) == (
        "spool",
        poisoned.incident,
        "RuntimeError",
        TRIES,
    )
    assert asides.waiting == {"spool": 1}
    assert journal.spool_oldest is None
    with pytest.raises(Unknown):
        await journal.state(poisoned.incident)

    sick.failing = 1
    assert await store.ask_again("spool", aside.position)
    await asides.look()
    assert [each.tries for each in await store.asides(limit=9)] == [TRIES + 1]

    assert await store.ask_again("spool", aside.position)
    await asides.look()
    assert await store.asides(limit=9) == []
    assert (await journal.state(poisoned.incident)).version == 1


async def test_what_lies_aside_survives_a_restart_and_is_sealed(
    journal: Journal, store: Store, sick: Sick, clock: ManualClock, tmp_path: Path
) -> None:
    sick.failing = 1
    poisoned = await opened(journal, 1)
    for _ in range(TRIES):
        sick.failing = 1
        await journal.drain()

    file = tmp_path / "spool" / "spool.aside"
    assert report(1).report not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    async with Journal(store, sick, Spool(tmp_path / "spool", sick.secret("spool")), clock=clock) as again:
        (aside,) = await store.asides(limit=9)
        await again.stranded.try_again(aside)
        assert (await again.state(poisoned.incident)).version == 1
    assert file.read_bytes() == b""
    assert aside.tenant == TENANT
