"""The log is cosigned and stamped outside the house; who lies there is not believed, who is away blocks nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recording import ledger, note, stamp
from recording.anchors import AnchorStore
from recording.errors import RecordingError
from recording.tiles import TileStore
from recording.witness import CosignatureRefused
from sos.anchors.anchoring import Anchoring
from sos.anchors.post import HttpPost
from sos.anchors.stamps import Stamps
from sos.anchors.witnesses import Witness
from sos.clock import ManualClock
from sos.errors import Unavailable
from tests.recording.authority import DAY, Authority, forged
from tests.sos.anchors.outside import Door, WitnessTwin, at, stamping

LOG = note.Signer("log.centre.example/audit", Ed25519PrivateKey.from_private_bytes(bytes(32)))
WITNESS = note.Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32))
OTHER = note.Signer("witness.example/w2", Ed25519PrivateKey.from_private_bytes(bytes([4]) * 32))
LATE = {"stamp": timedelta(hours=24), "witness": timedelta(hours=1)}


class Log:
    """A published log that grows."""

    def __init__(self, directory: Path) -> None:
        self.tiles = TileStore(directory)
        self._tree = ledger.Tree()

    def grow(self, count: int, *, word: str = "entry") -> bytes:
        first, entries = self._tree.size, [f'{{"{word}":{n}}}'.encode() for n in range(count)]
        for entry in entries:
            self._tree.append(ledger.leaf_hash(entry))
        checkpoint = note.sign(note.checkpoint_text(LOG.name, self._tree.size, self._tree.root()), [LOG])
        self.tiles.publish(first, entries, checkpoint)
        return checkpoint


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))  # openssl stamps the time that it is


@pytest.fixture
def published(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def post(stack: AsyncExitStack) -> HttpPost:
    return await stack.enter_async_context(HttpPost(within_s=2.0))


async def asks(stack: AsyncExitStack, post: HttpPost, published: Log, clock: ManualClock, door: Door) -> Witness:
    url = await stack.enter_async_context(at("/w/add-checkpoint", door))
    return Witness(post, f"{url}/w/", WITNESS.witness, published.tiles.consistency_proof, clock=clock)


async def asked_of(
    stack: AsyncExitStack, post: HttpPost, authority: Authority, clock: ManualClock, door: Door
) -> Stamps:
    url = await stack.enter_async_context(at("/tsa", door))
    return Stamps(post, f"{url}/tsa", stamp.roots(authority.root.read_bytes()), clock=clock)


def saying(*answers: tuple[int, bytes]) -> Door:
    """Somebody who answers so, one after the other and the last one for ever."""
    left = list(answers)

    async def answer(_: web.Request) -> web.Response:
        status, body = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(status=status, body=body)

    return answer


# --- witnesses ---


async def test_a_witness_cosigns_as_the_log_grows_and_is_asked_anew_where_it_knows_another_size(
    stack: AsyncExitStack, post: HttpPost, published: Log, clock: ManualClock
):
    twin = WitnessTwin(WITNESS, LOG.verifier, clock.now)
    first = published.grow(3)
    twin.size, twin.root = 3, published.tiles.root(3)  # it was there before we were started
    witness = await asks(stack, post, published, clock, twin.answer)

    for checkpoint in (first, published.grow(300), published.grow(70_000)):
        cosigned = await witness.cosign(checkpoint)
        opened = note.open_note(cosigned, [LOG.verifier, WITNESS.witness], strict=True)
        assert [each.name for each in opened.verified] == [LOG.name, WITNESS.name]
        assert opened.verified[1].time_seconds == int(clock.now().timestamp())
    assert twin.asked == [0, 3, 3, 303]
    assert twin.size == 70_303


async def test_a_log_that_was_set_back_or_rewritten_is_told_by_name(
    stack: AsyncExitStack, post: HttpPost, published: Log, clock: ManualClock, tmp_path: Path
):
    twin = WitnessTwin(WITNESS, LOG.verifier, clock.now)
    witness = await asks(stack, post, published, clock, twin.answer)
    await witness.cosign(published.grow(20))

    back = Log(tmp_path / "back")
    older = await asks(stack, post, back, clock, twin.answer)
    with pytest.raises(CosignatureRefused, match="ahead: it has cosigned 20 entries of a log that has 10"):
        await older.cosign(back.grow(10))
    with pytest.raises(CosignatureRefused, match="proof"):
        await older.cosign(back.grow(30, word="rewritten"))
    assert twin.size == 20


def spoilt_line(spoil: Callable[[bytes], bytes]) -> Callable[[bytes, ManualClock], bytes]:
    return lambda checkpoint, clock: spoil(note.cosign(checkpoint, WITNESS, time_seconds=int(clock.now().timestamp())))


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("absent", lambda head, clock: note.cosign(head, OTHER, time_seconds=int(clock.now().timestamp()))),
        ("absent", lambda head, clock: note.sign(note.unsigned(head), [WITNESS]).rpartition(b"\n\n")[2]),
        ("signature", lambda head, clock: note.cosign(head.replace(b"\n5\n", b"\n6\n"), WITNESS, time_seconds=1)),
        ("clock", lambda head, clock: note.cosign(head, WITNESS, time_seconds=0)),
        ("clock", lambda head, clock: note.cosign(head, WITNESS, time_seconds=int(clock.now().timestamp()) + 3600)),
        ("form", lambda head, clock: b"cosigned, honestly\n"),
        ("form", lambda head, clock: b""),
        ("form", spoilt_line(lambda line: line[:-1])),
        ("form", spoilt_line(lambda line: line + line)),
        ("form", spoilt_line(lambda line: line * 70)),
    ],
)
async def test_a_witness_that_answers_with_something_else_is_not_believed(
    stack: AsyncExitStack, post: HttpPost, published: Log, clock: ManualClock, rule: str,
    lines: Callable[[bytes, ManualClock], bytes],
):  # fmt: skip
    checkpoint = published.grow(5)
    witness = await asks(stack, post, published, clock, saying((200, lines(checkpoint, clock))))

    with pytest.raises(CosignatureRefused) as refused:
        await witness.cosign(checkpoint)

    assert refused.value.rule == rule


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (((409, b"99\n"),), "ahead"),
        (((409, b"many\n"),), "form"),
        (((409, b"2\n"), (409, b"3\n")), "http_409"),
        (((403, b""),), "log-key"),
        (((404, b""),), "origin"),
        (((422, b""),), "proof"),
        (((500, b""),), "http_500"),
        (((302, b""),), "http_302"),
        (((200, b"x" * 70_000),), "answer_too_large"),
    ],
)
async def test_a_witness_that_misbehaves_is_asked_twice_at_most_and_told_by_name(
    stack: AsyncExitStack, post: HttpPost, published: Log, clock: ManualClock, answers: tuple[tuple[int, bytes], ...],
    told: str,
):  # fmt: skip
    checkpoint = published.grow(5)
    witness = await asks(stack, post, published, clock, saying(*answers))

    with pytest.raises((CosignatureRefused, Unavailable), match=told):
        await witness.cosign(checkpoint)


async def test_a_witness_that_never_answers_costs_the_time_that_was_set_and_no_more(
    stack: AsyncExitStack, published: Log, clock: ManualClock
):
    async def hangs(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    post = await stack.enter_async_context(HttpPost(within_s=0.2))
    witness = await asks(stack, post, published, clock, hangs)

    async with asyncio.timeout(5):
        with pytest.raises(Unavailable, match="Timeout"):
            await witness.cosign(published.grow(5))


# --- stamps ---


async def test_an_authority_stamps_a_checkpoint_and_openssl_says_the_same(
    stack: AsyncExitStack, post: HttpPost, published: Log, clock: ManualClock, authority: Authority
):
    stamps = await asked_of(stack, post, authority, clock, stamping(authority))
    checkpoint = published.grow(5)

    answer = await stamps.stamp(checkpoint)

    assert authority.believes(answer, checkpoint)


async def test_an_authority_that_lies_is_refused_by_name(
    stack: AsyncExitStack, post: HttpPost, published: Log, clock: ManualClock, authority: Authority, tmp_path: Path
):
    checkpoint = published.grow(5)
    expired, other = Authority(tmp_path / "expired", lasts=(-3 * DAY, -DAY)), Authority(tmp_path / "other")

    async def of_another(_: web.Request) -> web.Response:
        return web.Response(body=authority.answer(stamp.request(b"another head", nonce=1)))

    for rule, trusted, door in (
        ("imprint", authority, of_another),
        ("nonce", authority, saying((200, forged(authority, checkpoint)))),
        ("chain: CN=tsa.example was not in force", expired, stamping(expired)),
        ("chain: it leads to no root", authority, stamping(other)),
        ("DER", authority, saying((200, b"<html>sign in</html>"))),
        ("http_503", authority, saying((503, b""))),
    ):
        stamps = await asked_of(stack, post, trusted, clock, door)
        with pytest.raises((RecordingError, Unavailable), match=rule):
            await stamps.stamp(checkpoint)
    wrong = await asked_of(stack, post, authority, ManualClock(clock.now() + timedelta(hours=1)), stamping(authority))
    with pytest.raises(RecordingError, match="clock"):
        await wrong.stamp(checkpoint)


# --- both, kept ---


async def test_what_was_anchored_is_kept_given_again_and_alarms_when_it_stays_away(
    stack: AsyncExitStack, post: HttpPost, published: Log, clock: ManualClock, authority: Authority, tmp_path: Path
):
    twin = WitnessTwin(WITNESS, LOG.verifier, clock.now)
    witness = await asks(stack, post, published, clock, twin.answer)
    stamps = await asked_of(stack, post, authority, clock, stamping(authority))
    store = AnchorStore(tmp_path / "anchors", [WITNESS.witness])

    def anchoring(stamps: Stamps, *witnesses: Witness) -> Anchoring:
        head = published.tiles.checkpoint
        return Anchoring(head, store, clock=clock, stamps=stamps, witnesses=witnesses, quorum=1, late_after=LATE)

    checkpoint = published.grow(5)
    anchored = await anchoring(stamps, witness).anchor(checkpoint)
    assert anchored.witnesses == (WITNESS.witness.vkey,)
    assert authority.believes(anchored.stamp or b"", anchored.checkpoint)
    assert (tmp_path / "anchors/5.checkpoint").read_bytes() == anchored.checkpoint

    away = await asks(stack, post, published, clock, saying((500, b"")))
    gone = await asked_of(stack, post, authority, clock, saying((500, b"")))
    later = anchoring(gone, away)
    assert await later.anchor(checkpoint) == anchored  # nobody need be asked again

    newer = published.grow(5)
    assert (await later.anchor(newer)).checkpoint == newer  # nobody is waited for
    await later.look()
    assert later.state() == {"stamp": "ok", "witness": "ok"}
    await clock.advance(timedelta(hours=1, seconds=1))
    await later.look()
    assert later.state() == {"stamp": "ok", "witness": "late"}
    await clock.advance(timedelta(hours=23))
    await later.look()
    assert later.state() == {"stamp": "late", "witness": "late"}
    assert later.figures.get_sample_value("sos_anchor_late", {"kind": "stamp"}) == 1
    assert later.figures.get_sample_value("sos_anchor_lag_seconds", {"kind": "witness"}) == 24 * 3600 + 1


async def test_a_quorum_of_one_is_met_by_one_of_two_and_a_lie_is_counted(
    stack: AsyncExitStack, post: HttpPost, published: Log, clock: ManualClock, tmp_path: Path
):
    twin = WitnessTwin(OTHER, LOG.verifier, clock.now)
    url = await stack.enter_async_context(at("/add-checkpoint", twin.answer))
    honest = Witness(post, url, OTHER.witness, published.tiles.consistency_proof, clock=clock)
    liar = await asks(stack, post, published, clock, saying((200, b"nonsense\n")))
    store = AnchorStore(tmp_path / "anchors", [WITNESS.witness, OTHER.witness])

    for quorum, state in ((1, "ok"), (2, "late")):
        anchoring = Anchoring(
            published.tiles.checkpoint, store, clock=clock, witnesses=(liar, honest), quorum=quorum, late_after=LATE
        )
        anchored = await anchoring.anchor(published.grow(2))
        await anchoring.look()
        await clock.advance(timedelta(hours=2))
        assert anchored.witnesses == (OTHER.witness.vkey,)
        assert anchoring.state() == {"witness": state}
        refused = anchoring.figures.get_sample_value("sos_anchor_refused_total", {"kind": "witness", "rule": "form"})
        assert refused is not None
        assert refused >= 1


async def test_a_stamp_that_does_not_belong_to_the_kept_checkpoint_is_not_given_out(
    published: Log, authority: Authority, tmp_path: Path
):
    """As when a crash came between the two files."""
    checkpoint = published.grow(5)
    store = AnchorStore(tmp_path / "anchors")
    store.keep(checkpoint, authority.answer(stamp.request(b"something else", nonce=1)))

    assert store.of(checkpoint).stamp is None
