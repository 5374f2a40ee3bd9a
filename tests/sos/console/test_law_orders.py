"""Opening is on the record each time; what is owed stands in a queue; what is shown to nobody unasked is revealed."""

from datetime import timedelta

import msgspec
import pytest

from routing.categories import Category
from sos.clock import ManualClock
from sos.errors import Forbidden, Refused, Unknown
from sos.incident import commands as c
from sos.incident.access import AT_A_GLANCE, Purpose
from sos.incident.events import PartsRead, RequestRefused
from sos.incident.model import Disposition, IncidentId, RefusalReason, TenantId
from sos.journal.deadlines import Deadlines
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window

MEDICAL = b'{"medical":"Mark-MED"}'


@pytest.fixture
async def incident(journal: Journal, clock: ManualClock) -> IncidentId:
    opened = await journal.open(s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=clock.now())
    copied = msgspec.structs.replace(s.copy_registered(), parts={Category.MED: MEDICAL})
    for command in (copied, s.take("hanako")):
        await journal.execute(opened.incident, command, actor="system:test")
    return opened.incident


@pytest.fixture
def desk(journal: Journal):
    return window(room(journal, Ears()), "hanako", supervisor=False)


@pytest.fixture
def supervisor(journal: Journal):
    return window(room(journal, Ears()), "jiro", supervisor=True)


async def _reads(journal: Journal, incident: IncidentId) -> list[PartsRead]:
    events = [recorded.event for recorded in await journal.store.stream(incident)]
    return [event for event in events if isinstance(event, PartsRead)]


async def _close(journal: Journal, incident: IncidentId) -> None:
    await journal.execute(incident, s.close(Disposition.FALSE_ALARM), actor="operator:hanako")


async def test_each_opening_is_written_down_with_what_it_is_for_and_a_refresh_is_none(desk, journal, incident):
    for _ in range(3):
        await order(desk, "open", incident=incident, purpose="emergency_handling")
    await order(desk, "refresh", incident=incident)

    reads = await _reads(journal, incident)
    assert [read.purpose for read in reads] == ["emergency_handling"] * 3
    assert not {category for read in reads for category in read.categories} & {Category.MED, Category.FAM}


async def test_nothing_is_shown_again_to_whom_it_was_not_opened(supervisor, journal, incident):
    with pytest.raises(Refused, match="open it first"):
        await order(supervisor, "refresh", incident=incident)
    await order(supervisor, "open", incident=incident, purpose="supervision")
    await order(supervisor, "refresh", incident=incident)

    assert [read.purpose for read in await _reads(journal, incident)] == ["supervision"]


async def test_an_offered_call_is_looked_at_where_it_rings_and_that_opens_nothing(journal, clock: ManualClock):
    hanako, taro = (window(room(journal, Ears()), name, supervisor=False) for name in ("hanako", "taro"))
    opened = await journal.open(s.open_incident(), tenant=TenantId("acme"), receipt=b"q" * 32, received_at=clock.now())
    incident = opened.incident
    await journal.execute(incident, c.OfferDesks(desks=(hanako.desk,)), actor="system:distribution")

    await order(hanako, "open", incident=incident, purpose="offered")

    (read,) = await _reads(journal, incident)
    assert (read.reader, set(read.categories), read.purpose) == ("operator:hanako", AT_A_GLANCE, "offered")
    with pytest.raises(Refused, match="and nothing else"):
        await hanako.opened(incident, Category.MED, purpose=Purpose.OFFERED, reason="")
    with pytest.raises(Refused, match="open it first"):
        await order(hanako, "refresh", incident=incident)
    with pytest.raises(Refused, match="ring at this desk"):
        await order(taro, "open", incident=incident, purpose="offered")
    await journal.execute(incident, s.take("taro"), actor="operator:taro")
    with pytest.raises(Refused, match=r"waits no more|ring at this desk"):
        await order(hanako, "open", incident=incident, purpose="offered")


async def test_an_offered_call_shows_nobodys_name_number_or_health(supervisor, journal, incident):
    for shown in ("MED", "FAM"):
        with pytest.raises(Forbidden, match="this purpose"):
            await order(supervisor, "reveal", incident=incident, category=shown, purpose="offered")
    assert await _reads(journal, incident) == []


async def test_an_operator_does_not_supervise(desk, incident):
    with pytest.raises(Forbidden, match="supervises"):
        await order(desk, "open", incident=incident, purpose="supervision")


async def test_a_closed_incident_is_opened_for_a_purpose_that_outlives_it_and_with_a_reason(desk, journal, incident):
    await order(desk, "open", incident=incident, purpose="emergency_handling")
    await _close(journal, incident)

    with pytest.raises(Refused, match="say what it is opened for"):
        await order(desk, "open", incident=incident, purpose="emergency_handling", reason="to help")
    with pytest.raises(Refused, match="say why"):
        await order(desk, "open", incident=incident, purpose="review")
    with pytest.raises(Refused, match="open it first"):
        await order(desk, "refresh", incident=incident)
    await order(desk, "open", incident=incident, purpose="review", reason="Mark-REASON")
    await order(desk, "open", incident=incident, purpose="person", reason="Mark-REASON")

    assert [read.purpose for read in await _reads(journal, incident)] == ["emergency_handling", "review", "person"]
    headers = msgspec.json.encode(await journal.store.stream(incident))
    assert b"Mark-REASON" not in headers
    words = [part.payload for part in await journal.unseal(incident, (Category.OBS,))]
    assert len([each for each in words if b"Mark-REASON" in each]) == 2


async def test_what_was_registered_is_revealed_to_who_has_it_and_each_time_is_on_the_record(desk, journal, incident):
    for _ in range(2):
        shown = await order(desk, "reveal", incident=incident, category="MED", purpose="emergency_handling")

    assert [each.fields for each in shown] == [{"medical": "Mark-MED"}]
    reads = [(read.reader, read.categories, read.purpose) for read in await _reads(journal, incident)]
    assert reads == [("operator:hanako", (Category.MED,), "emergency_handling")] * 2


async def test_another_operator_reveals_nothing_and_a_supervisor_says_why_once_it_is_over(
    supervisor, journal, incident
):
    other = window(room(journal, Ears()), "taro", supervisor=False)
    with pytest.raises(Forbidden):
        await order(other, "reveal", incident=incident, category="MED", purpose="emergency_handling")
    await _close(journal, incident)
    with pytest.raises(Refused, match="say why"):
        await order(supervisor, "reveal", incident=incident, category="MED", purpose="review")

    shown = await order(supervisor, "reveal", incident=incident, category="MED", purpose="review", reason="a complaint")

    assert len(shown) == 1


async def test_what_is_owed_stands_in_the_queue_of_every_desk_closed_or_not_until_somebody_has_done_it(
    desk, supervisor, journal, incident, clock: ManualClock
):
    owed = ("review_within_a_day", "protected_person")
    for command in (s.disclose("d1", obligations=owed), s.acknowledge()):
        await journal.execute(incident, command, actor="operator:hanako")
    closed = s.close(Disposition.HANDED_OVER)
    await journal.execute(incident, closed, actor="operator:hanako")

    listed = await order(desk, "owed")
    assert [(each.obligation, each.about, each.who, each.late) for each in listed] == [
        ("protected_person", "d1", "operator", 0),
        ("review_within_a_day", "d1", "supervisor", 0),
    ]
    await clock.jump(timedelta(days=1))
    await Deadlines(journal).round()
    assert {(each.obligation, each.late) for each in await order(desk, "owed")} == {
        ("protected_person", 1),
        ("review_within_a_day", 1),
    }

    done = {"incident": incident, "about": "d1"}
    await order(desk, "meet", **done, obligation="protected_person", outcome="done", words="the cyclist")
    with pytest.raises(Forbidden):
        await order(desk, "meet", **done, obligation="review_within_a_day", outcome="in_order", words="fine")
    await order(supervisor, "meet", **done, obligation="review_within_a_day", outcome="in_order", words="fine")

    assert await order(desk, "owed") == []


async def test_a_request_is_taken_down_checked_and_agreed_to_at_the_desk(desk, supervisor, journal, incident):
    told = await order(
        desk,
        "request",
        incident=incident,
        recipient="INV",
        path="inquiry",
        scope=["LOC"],
        issuer="invented station",
        person="invented sergeant",
        call_back="+81300000110",
        reference="no. 17",
        document="ab" * 32,
        channel="letter",
    )
    of = {"incident": incident, "request": told["request"]}
    await order(desk, "check_request", **of, fact="document_on_file", words="read it")
    await order(desk, "approve_request", **of)
    await order(supervisor, "approve_request", **of)

    (asked,) = (await journal.state(incident)).asked
    assert (asked.approved, asked.supervised, asked.checked) == (("hanako", "jiro"), True, ("document_on_file",))


ASKED = {
    "recipient": "INV",
    "path": "inquiry",
    "scope": ["LOC"],
    "issuer": "invented station",
    "person": "invented sergeant",
    "call_back": "+81300000110",
    "reference": "no. 17",
    "document": "ab" * 32,
    "channel": "letter",
}


async def test_open_requests_stand_in_a_list_the_first_due_first_without_anybodys_name(desk, journal, incident):
    slow = await order(desk, "request", incident=incident, **ASKED)
    quick = await order(
        desk, "request", incident=incident, **{**ASKED, "recipient": "FAM", "path": "family_enquiry", "document": ""}
    )

    listed = await order(desk, "requests")

    assert [each.request for each in listed] == [quick["request"], slow["request"]]
    assert [(each.needs_two, each.agreed, each.late) for each in listed] == [(False, False, 0), (True, False, 0)]
    assert "invented" not in repr(listed)


async def test_who_asks_is_shown_and_that_is_on_the_record_each_time(desk, journal, incident):
    asked = await order(desk, "request", incident=incident, **ASKED)

    for _ in range(2):
        said = msgspec.json.decode(await order(desk, "read_request", incident=incident, request=asked["request"]))
        assert (said["issuer"], said["callBack"]) == ("invented station", "+81300000110")

    assert [read.purpose for read in await _reads(journal, incident)] == ["request", "request"]
    with pytest.raises(Unknown):
        await order(desk, "read_request", incident=incident, request="q-9")


async def test_a_request_is_refused_in_words_and_then_is_over(desk, supervisor, journal, incident):
    asked = (await order(desk, "request", incident=incident, **ASKED))["request"]
    with pytest.raises(Refused, match="written down"):
        await order(desk, "refuse_request", incident=incident, request=asked, reason="too_wide", words="  ")

    await order(desk, "refuse_request", incident=incident, request=asked, reason="too_wide", words="asks for all")

    assert await order(desk, "requests") == []
    for do, more in (
        ("approve_request", {}),
        ("refuse_request", {"reason": "other", "words": "again"}),
        ("check_request", {"fact": "document_on_file", "words": "read"}),
    ):
        with pytest.raises(Refused, match="has been refused"):
            await order(supervisor, do, incident=incident, request=asked, **more)
    (refused,) = [r.event for r in await journal.store.stream(incident) if isinstance(r.event, RequestRefused)]
    assert (refused.reason, refused.by) == (RefusalReason.TOO_WIDE, "hanako")


async def test_a_request_that_nobody_answers_in_time_is_listed_as_late(desk, journal, incident, clock: ManualClock):
    public = {**ASKED, "recipient": "POL", "path": "public_task"}
    await order(desk, "request", incident=incident, **public)
    await _close(journal, incident)
    await clock.advance(timedelta(hours=1, seconds=1))
    await Deadlines(journal).round()

    assert [each.late for each in await order(desk, "requests")] == [1]
