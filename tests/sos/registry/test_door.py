"""``/v1/registry``: who comes in, what each role may do, and that every fault is a problem that names the way out."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sos.clock import ManualClock
from sos.journal.migrate import upgrade
from sos.journal.sqlite import SqliteStore
from sos.problems import MEDIA_TYPE, problems_middleware
from sos.registry.http import ACTING, Registrar, RegistryEndpoint
from sos.registry.lifecycle import Role
from sos.registry.operations import OPERATIONS
from sos.registry.pack import shipped
from sos.registry.registry import Registry
from tests.sos.registry.conftest import DEMO, NO_PROFILING, PROFILE, VIN

TOKENS = {"oem": DEMO, "dealer": DEMO, "portal": DEMO, "stranger": NO_PROFILING}
KEYS = [{"scheme": "vin", "value": VIN.value}]
PURPOSE = {"categories": ["OWN", "TEL"], "purpose": "inquiry"}

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """One database is enough here: what lies behind the door is tested on both."""
    async with SqliteStore(tmp_path / "journal.db") as opened:
        await upgrade(opened.engine)
        yield opened


@pytest.fixture
async def door(registry: Registry, clock: ManualClock) -> AsyncIterator[Client]:
    registrars = [
        Registrar(
            id=name,
            tenant=tenant,
            role=Role.OEM if name == "stranger" else Role(name),
            token_digest=sha256(name.encode()).hexdigest(),
        )
        for name, tenant in TOKENS.items()
    ]
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(RegistryEndpoint(registry, registrars, clock=clock).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def ask(
    door: Client, method: str, path: str, body: object = None, *, who: str = "oem", acting: str = ""
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {who}"} | ({ACTING: acting} if acting else {})
    data = body if isinstance(body, bytes) else msgspec.json.encode(body) if body is not None else None
    async with door.request(method, f"/v1/registry/{path}", data=data, headers=headers) as answer:
        told = msgspec.json.decode(await answer.read())
        if answer.status >= 400:
            assert answer.content_type == MEDIA_TYPE
            assert told["title"]
        return answer.status, told


async def registered(door: Client) -> tuple[str, str]:
    """A car and its owner, by the door."""
    _, vehicle = await ask(door, "POST", "subjects", {"do": "register_vehicle", "keys": KEYS, "source": "api"})
    person = {"do": "register_subscriber", "profile": PROFILE, "source": "api", "ref": "C-1"}
    _, owner = await ask(door, "POST", "subjects", person)
    link = {"do": "link_owner", "subscriber": owner["subject"]}
    status, _ = await ask(door, "POST", f"subjects/{vehicle['subject']}/orders", link)
    assert status == 200
    return vehicle["subject"], owner["subject"]


async def test_a_car_is_registered_entitled_and_stands_well(door: Client):
    vehicle, owner = await registered(door)
    grant = {"do": "grant_entitlement", "service": "sos", "begins": "2026-01-01T00:00:00Z"}
    await ask(door, "POST", f"subjects/{vehicle}/orders", grant)

    status, standing = await ask(door, "POST", "standing", {"keys": KEYS})

    assert status == 200
    assert (standing["flags"], standing["entitlement"]) == ([], "entitled")
    assert (standing["vehicle"], standing["subscriber"], standing["call_back_window_s"]) == (vehicle, owner, 3600)


async def test_registering_again_finds_what_is_there(door: Client):
    order = {"do": "register_vehicle", "keys": KEYS, "source": "api"}

    first, again = await ask(door, "POST", "subjects", order), await ask(door, "POST", "subjects", order)

    assert (first[0], again[0]) == (201, 200)
    assert first[1]["subject"] == again[1]["subject"]


async def test_a_record_shows_nobody_and_a_reading_is_on_the_record(door: Client):
    _, owner = await registered(door)

    _, shown = await ask(door, "GET", f"subjects/{owner}")
    _, personal = await ask(door, "POST", f"subjects/{owner}/reading", PURPOSE, who="dealer")
    _, history = await ask(door, "GET", f"subjects/{owner}/history")

    assert PROFILE["name"] not in repr(shown)
    assert (shown["kind"], shown["consents_in_force"], shown["confirm_profile"]) == ("subscriber", [], False)
    assert personal["OWN"]["name"] == PROFILE["name"]
    last = history["events"][-1]
    assert (last["actor"], last["read"]) == ("registrar:dealer", PURPOSE | {"purpose": "stated"})
    assert PROFILE["name"] not in repr(history)


@pytest.mark.parametrize("acknowledged", [["no_sos"], ["no_sos", "must_tell_buyer"], []])
async def test_a_deactivation_without_all_three_acknowledgements_is_refused_and_says_which(door, acknowledged):
    vehicle, _ = await registered(door)
    order = {"do": "deactivate", "document": "seal-17", "effective_at": "2026-01-02T00:00:00Z"}

    status, problem = await ask(
        door, "POST", f"subjects/{vehicle}/orders", order | {"acknowledged": acknowledged}, who="dealer"
    )

    assert status == 409
    assert "all_services_end" in problem["detail"]


async def test_sos_is_never_switched_off_from_the_portal(door: Client):
    vehicle, owner = await registered(door)
    order = {
        "do": "deactivate",
        "document": "seal-17",
        "effective_at": "2026-01-02T00:00:00Z",
        "acknowledged": ["no_sos", "must_tell_buyer", "all_services_end"],
    }

    refused = await ask(door, "POST", f"subjects/{vehicle}/orders", order, who="portal", acting=owner)
    allowed = await ask(door, "POST", f"subjects/{vehicle}/orders", order, who="dealer")

    assert refused[0] == 403
    assert allowed == (200, {"subject": vehicle, "changed": ["ServiceDeactivated"]})


async def test_a_portal_sees_the_customers_own_records_and_no_others(door: Client):
    vehicle, owner = await registered(door)
    _, other = await ask(
        door, "POST", "subjects", {"do": "register_subscriber", "profile": {}, "source": "api", "ref": "C-2"}
    )

    own = [
        await ask(door, "GET", f"subjects/{vehicle}", who="portal", acting=owner),
        await ask(door, "POST", f"subjects/{owner}/reading", PURPOSE, who="portal", acting=owner),
        await ask(door, "POST", "standing", {"keys": KEYS}, who="portal", acting=owner),
    ]
    foreign = [
        await ask(door, method, path, body, who="portal", acting=acting)
        for acting in ("", other["subject"])
        for method, path, body in (
            ("GET", f"subjects/{vehicle}", None),
            ("GET", f"subjects/{owner}/history", None),
            ("POST", f"subjects/{owner}/reading", PURPOSE),
            ("POST", "standing", {"keys": KEYS}),
            ("GET", "subjects", None),
            ("POST", "import", b"brand,vin\n"),
        )
    ]

    assert [status for status, _ in own] == [200] * 3
    assert {status for status, _ in foreign} == {403}


async def test_another_brand_finds_nothing(door: Client):
    vehicle, owner = await registered(door)

    for subject in (vehicle, owner):
        for method, path, body in (
            ("GET", f"subjects/{subject}", None),
            ("GET", f"subjects/{subject}/history", None),
            ("POST", f"subjects/{subject}/reading", PURPOSE),
            ("POST", f"subjects/{subject}/orders", {"do": "confirm_profile"}),
        ):
            assert (await ask(door, method, path, body, who="stranger"))[0] == 404
    assert (await ask(door, "GET", "subjects", who="stranger"))[1] == {"subjects": [], "next": None}


async def test_a_dry_run_of_an_import_names_rows(door: Client):
    csv = f"brand,vin\ndemo,{VIN.value}\nother,{VIN.value}\n".encode()

    status, told = await ask(door, "POST", "import?dry_run=true", csv)
    _, standing = await ask(door, "POST", "standing", {"keys": KEYS})

    assert status == 200
    assert (told["created"], told["left_out"], told["findings"][0]["row"]) == (1, 1, 3)
    assert standing["flags"] == ["unknown_vehicle"]


async def test_a_pack_is_put_in_force_by_the_brand_alone(door: Client):
    pack = msgspec.json.decode(msgspec.json.encode(shipped()[DEMO])) | {"open_link": "block"}

    assert (await ask(door, "PUT", "brand", pack, who="dealer"))[0] == 403
    assert (await ask(door, "PUT", "brand", pack, who="stranger"))[0] == 403
    assert (await ask(door, "PUT", "brand", pack))[0] == 200
    assert (await ask(door, "GET", "brand"))[1]["pack"]["open_link"] == "block"


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "subjects", b"not json", "$"),
        ("POST", "subjects", {"do": "dance"}, "$.do"),
        ("POST", "subjects", {"do": "register_vehicle", "keys": [{"scheme": "vin", "value": "x"}]}, None),
        ("POST", "subjects", {"do": "register_vehicle", "keys": KEYS, "source": "api", "colour": "red"}, "$"),
        ("POST", "standing", {"keys": []}, "$.keys"),
        ("POST", "subjects/x/reading", {"categories": ["AUD"], "purpose": "x"}, "$.categories"),
        ("POST", "subjects/x/reading", {"categories": ["OWN"], "purpose": ""}, "$.purpose"),
        ("GET", "subjects?kind=ghost", None, "?kind"),
        ("POST", "import", b"\xff\xfe\x81", "$"),
        ("PUT", "brand", {"id": "demo"}, "$"),
    ],
)
async def test_what_cannot_be_read_is_a_problem_that_names_the_place(door: Client, method, path, body, field):
    status, problem = await ask(door, method, path, body)

    assert status == 400
    assert field is None or problem["field"] == field


async def test_a_pack_that_contradicts_itself_is_the_senders_fault(door: Client):
    pack = msgspec.json.decode(msgspec.json.encode(shipped()[DEMO])) | {"legal_texts": []}

    status, problem = await ask(door, "PUT", "brand", pack)

    assert status == 400
    assert "legal_texts" in problem["detail"]


async def test_every_route_refuses_a_stranger_and_is_described(door: Client, registry: Registry, clock: ManualClock):
    routes = {(route.method, route.path) for route in RegistryEndpoint(registry, (), clock=clock).routes()}

    for method, path in routes:
        status, _ = await ask(door, method, path.removeprefix("/v1/registry/").replace("{subject}", "x"), who="nobody")
        assert status == 401
    assert routes == {(method.upper(), path) for path, methods in OPERATIONS.items() for method in methods}
