"""Who gets in at a desk: by the token, by a link once and soon, by a second factor once, and on which cookie."""

import asyncio
from base64 import b32encode
from datetime import timedelta
from pathlib import Path

import pytest

from sos.clock import ManualClock
from sos.console import totp
from sos.console.access import CODE_LASTS, WRONG_AT_ONCE, WRONG_WITHIN, Access, Operator, address, new_code
from sos.console.desks import Desks
from sos.console.sessions import AT_MOST, Sessions
from sos.errors import Forbidden, Misconfigured, SecondFactor
from sos.incident.model import LegId, OperatorId
from sos.journal.desk_access import DeskAccess
from sos.journal.journal import Journal
from tests.conftest import NEW_YEAR
from tests.sos.dispatch.test_disclosure_at_the_desk import _digest

HANAKO, TARO = OperatorId("hanako"), OperatorId("taro")
SECRET = b"12345678901234567890"
"""Of RFC 6238's own examples."""


async def nobody(_: LegId) -> None:
    """Hangs up where nobody calls."""


def _access(journal: Journal, wall: ManualClock, *, secret: bytes = b"house", token: str = "token") -> Access:
    kept = DeskAccess(journal.store.engine)
    operators = (
        Operator(id=HANAKO, name="架空 花子", token_digest=_digest(token)),
        Operator(id=TARO, name="架空 太郎", token_digest=_digest("other"), second_factor=SECRET),
    )
    sessions = Sessions(kept, journal, Desks(wall), clock=wall, hang_up=nobody)
    return Access(operators, sessions, kept, secret=secret, secure=True)


@pytest.fixture
def wall() -> ManualClock:
    """Another clock than the journal's, whose own work would be done a thousand times over in a day."""
    return ManualClock(NEW_YEAR)


@pytest.fixture
def access(journal: Journal, wall: ManualClock) -> Access:
    return _access(journal, wall)


def _shown(access: Access, cookie: str) -> OperatorId:
    return access.of({access.cookie: cookie}).id


async def _code(journal: Journal, operator: OperatorId = HANAKO) -> str:
    return await new_code(DeskAccess(journal.store.engine), operator, now=journal.clock.now())


async def test_the_token_lets_its_operator_in_and_the_cookie_says_who_it_is(access: Access):
    operator, cookie = await access.log_in(token="token")

    assert (operator.id, _shown(access, cookie)) == (HANAKO, HANAKO)
    for wrong in ("", cookie[:-1], cookie.replace("hanako", "taro"), "hanako|x|y|z", "hanako|", "nobody|a|b|c"):
        with pytest.raises(Forbidden):
            _shown(access, wrong)


async def test_a_killed_house_knows_the_cookie_again_and_a_changed_token_ends_it(
    access: Access, journal: Journal, wall: ManualClock
):
    _, cookie = await access.log_in(token="token")

    assert _shown(_access(journal, wall), cookie) == HANAKO
    for other in (_access(journal, wall, token="changed"), _access(journal, wall, secret=b"another house")):
        with pytest.raises(Forbidden):
            _shown(other, cookie)


async def test_a_link_opens_a_desk_once_and_its_code_stands_where_no_server_is_told_of_it(
    access: Access, journal: Journal
):
    code = await _code(journal)
    operator, cookie = await access.log_in(code=code)

    assert operator.id == HANAKO
    assert _shown(access, cookie) == HANAKO
    with pytest.raises(Forbidden, match="used before") as refused:
        await access.log_in(code=code)
    assert refused.value.rule == "desk-code"
    assert address("https://sos.example", code) == f"https://sos.example/console/#code={code}"


async def test_of_many_who_show_the_same_code_at_once_one_gets_in(access: Access, journal: Journal):
    code = await _code(journal)

    each = await asyncio.gather(*(access.log_in(code=code) for _ in range(8)), return_exceptions=True)

    assert sum(not isinstance(one, BaseException) for one in each) == 1


async def test_a_link_is_worth_nothing_after_its_time_nor_for_somebody_who_is_no_operator(
    access: Access, journal: Journal, wall: ManualClock
):
    late, strange = await _code(journal), await _code(journal, OperatorId("gone"))
    for code in (strange, "", "x" * 43):
        with pytest.raises(Forbidden):
            await access.log_in(code=code)
    await wall.advance(CODE_LASTS)

    with pytest.raises(Forbidden):
        await access.log_in(code=late)


async def test_the_database_holds_no_code(journal: Journal):
    code = await _code(journal)

    rows = await DeskAccess(journal.store.engine).code(code, now_ms=0)

    assert rows is None


# --- second factors ---


@pytest.mark.parametrize(
    ("at", "digits"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_the_digits_are_those_of_rfc_6238_appendix_b(at: int, digits: str):
    assert totp.code(SECRET, at // totp.STEP_S) == digits


def _digits(wall: ManualClock, *, steps: int = 0) -> str:
    return totp.code(SECRET, int(wall.now().timestamp()) // totp.STEP_S + steps)


async def test_who_has_a_second_factor_needs_it_and_it_is_taken_once(
    access: Access, journal: Journal, wall: ManualClock
):
    with pytest.raises(SecondFactor) as wanted:
        await access.log_in(token="other")
    operator, _ = await access.log_in(token="other", second_factor=_digits(wall))
    for house in (access, _access(journal, wall)):  # also after a restart
        with pytest.raises(SecondFactor, match="were used") as again:
            await house.log_in(token="other", second_factor=_digits(wall))

    assert (operator.id, wanted.value.rule, again.value.rule) == (TARO, "second-factor-wanted", "second-factor")


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_a_clock_may_differ_by_one_step(access: Access, wall: ManualClock, steps: int, taken: bool):
    digits = _digits(wall, steps=steps)
    if taken:
        await access.log_in(token="other", second_factor=digits)
    else:
        with pytest.raises(SecondFactor):
            await access.log_in(token="other", second_factor=digits)


async def test_a_link_waits_for_the_second_factor_and_is_not_used_up_by_its_absence(
    access: Access, journal: Journal, wall: ManualClock
):
    code = await _code(journal, TARO)
    with pytest.raises(SecondFactor):
        await access.log_in(code=code)

    operator, _ = await access.log_in(code=code, second_factor=_digits(wall))

    assert operator.id == TARO


async def test_digits_cannot_be_guessed_from_however_many_addresses(access: Access, wall: ManualClock):
    for _ in range(WRONG_AT_ONCE):
        with pytest.raises(SecondFactor):
            await access.log_in(token="other", second_factor="000000")

    with pytest.raises(SecondFactor, match="wait"):
        await access.log_in(token="other", second_factor=_digits(wall))
    assert (await access.log_in(token="token"))[0].id == HANAKO
    await wall.advance(WRONG_WITHIN)
    assert (await access.log_in(token="other", second_factor=_digits(wall)))[0].id == TARO


def test_a_file_without_a_secret_stops_the_start(tmp_path: Path):
    good, short, none = tmp_path / "good", tmp_path / "short", tmp_path / "none"
    good.write_text(b32encode(SECRET).decode().lower() + "\n")
    short.write_text(b32encode(b"short").decode())
    none.write_text("no base 32 !")

    assert totp.read_secret(good) == SECRET
    for wrong in (short, none, tmp_path / "missing"):
        with pytest.raises(Misconfigured):
            totp.read_secret(wrong)


async def test_a_cookie_of_long_ago_is_none_whatever_the_database_knows(access: Access, wall: ManualClock):
    _, cookie = await access.log_in(token="token")
    await wall.advance(AT_MOST + timedelta(seconds=1))

    with pytest.raises(Forbidden) as over:
        _shown(access, cookie)
    assert over.value.rule == "session-over"
