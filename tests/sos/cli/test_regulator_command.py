"""``sos regulator``: an auditor asks, two of the house agree, the authority reads and verifies with nothing of ours but
the verifier; every refusal is by its rule's name, and leaves nothing."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from recording import age
from recording.keys import KeyStore
from recording.note import Signer
from recording.tiles import TileStore
from sos.cli import app
from sos.clock import SystemClock
from sos.errors import Forbidden, RuleBroken, Unknown
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.publisher import Publisher
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from tests.journeys import story as s
from tests.sos.journal.reports import incident

ROOT = Path(__file__).resolve().parents[3]
ORIGIN = "sos.example.com/journal"
TOKENS = {"hanako": "h" * 40, "jiro": "j" * 40, "ministry": "m" * 40, "another": "a" * 40}


def day(offset: int) -> str:
    return (SystemClock().now() + timedelta(days=offset)).date().isoformat()


class House:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.data.mkdir()
        self.identity = age.new_identity()
        (directory / "identity").write_text(self.identity + "\n")
        for name, token in TOKENS.items():
            (directory / name).write_text(token + "\n")
        self.config = directory / "sos.toml"
        self.config.write_text("\n".join(self._settings()))
        self.log_key, self.seal_key = asyncio.run(self._keep_something())

    def _settings(self) -> list[str]:
        digest = {name: sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
        return [
            f'data_dir = "{self.data}"',
            '[[tenants]]\nid = "demo"\ndomain = "demo.example"',
            *(
                f'[[operators]]\nid = "{each}"\nname = "{each}"\ntoken_digest = "{digest[each]}"\n'
                f"supervisor = {str(each == 'jiro').lower()}"
                for each in ("hanako", "jiro")
            ),
            *(
                f'[[auditors]]\nid = "{each}"\ntoken_digest = "{digest[each]}"\nbrands = ["demo"]\ncategories = ["OBS"]'
                for each in ("ministry", "another")
            ),
            f'[[recipients]]\nid = "ministry"\nage_key = "{age.recipient_of(self.identity)}"\nbrands = ["demo"]\n'
            'categories = ["OBS", "RAW"]',
        ]

    async def _keep_something(self) -> tuple[str, str]:
        keys = KeyStore(self.data / "keys")
        async with SqliteStore(self.data / "journal.db") as store:
            await upgrade(store.engine)
            journal = Journal(store, keys, Spool(self.data / "spool", keys.secret("spool")), clock=SystemClock())
            for number in range(2):
                opened = await incident(journal, number)
                for command in (s.take(), s.note(f"an invented note {number}")):
                    await journal.execute(opened, command, actor="operator:hanako")
            log = Signer(ORIGIN, keys.signing_key("log"))
            await Publisher(store, TileStore(self.data / "log"), log, origin=ORIGIN).checkpoint()
        seal = Signer("sos.example.com/seal", keys.signing_key("seal"))
        return log.verifier.vkey, seal.verifier.vkey

    def say(self, *words: str, by: str = "", token_of: str = "") -> Result:
        proof = []
        if by:
            role = "--operator" if by in ("hanako", "jiro") else "--auditor"
            proof = [role, by, "--token-file", str(self.directory / (token_of or by))]
        return CliRunner().invoke(app, ["regulator", *words, *proof, "--config", str(self.config)])

    def request(self, *more: str, by: str = "ministry") -> Result:
        period = ["--since", day(-1), "--until", day(1)]
        asked = ["--recipient", "ministry", "--brand", "demo", *period, "--why", "架空の照会", *more]
        return self.say("request", *asked, by=by)

    def built(self) -> str:
        named = self.request("--reveal", "OBS").output.strip()
        digest = json.loads(self.say("dry-run", named, "--json", by="hanako").output)["digest"]
        for by in ("hanako", "jiro"):
            assert self.say("approve", named, "--digest", digest, by=by).exit_code == 0
        assert self.say("build", named, by="hanako").exit_code == 0
        return named


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_regulators_walk_from_the_request_to_a_package_verified_with_nothing_of_the_service(house: House):
    named = house.request("--reveal", "OBS").output.strip()
    dry = house.say("dry-run", named, "--json", by="hanako")
    counted = json.loads(dry.output)
    alone = house.say("build", named, by="hanako")
    first = house.say("approve", named, "--digest", counted["digest"], by="hanako")
    again = house.say("approve", named, "--digest", counted["digest"], by="hanako")
    in_anothers_name = house.say("approve", named, "--digest", counted["digest"], by="jiro", token_of="hanako")
    second = house.say("approve", named, "--digest", counted["digest"], by="jiro")
    done = house.say("build", named, by="hanako")
    foreign = house.say("fetch", named, str(house.directory / "foreign.age"), by="another")
    fetched = house.say("fetch", named, str(house.directory / "package.age"), by="ministry")

    assert (counted["categories"], counted["brands"]) == ({"OBS": 2}, {"demo": 6})
    assert (counted["kinds"]["NoteAdded"], counted["incidents"]) == (2, 2)
    assert str(alone.exception).startswith("approvals-missing: ")
    assert first.exit_code == second.exit_code == done.exit_code == fetched.exit_code == 0
    assert str(again.exception).startswith("approver-twice: ")
    assert isinstance(in_anothers_name.exception, Forbidden)
    assert isinstance(foreign.exception, Unknown)
    assert not (house.directory / "foreign.age").exists()
    assert "received by auditor:ministry" in fetched.output
    assert sha256((house.directory / "package.age").read_bytes()).hexdigest() in done.output

    package = house.directory / "package"
    identity = ["--identity", str(house.directory / "identity")]
    opened = CliRunner().invoke(app, ["regulator", "open", f"{package}.age", str(package), *identity])
    assert opened.exit_code == 0
    verified = _with_nothing_but_the_verifier(house, package)
    assert verified.returncode == 0, verified.stdout
    assert "Result: the package holds" in verified.stdout
    assert "2 opened" in verified.stdout


def _with_nothing_but_the_verifier(house: House, package: Path) -> "subprocess.CompletedProcess[str]":
    """As on a machine without the service: the folder ``recording`` alone, and what Python has of ``cryptography``."""
    alone = house.directory / "elsewhere"
    shutil.copytree(ROOT / "recording", alone / "recording", ignore=shutil.ignore_patterns("__pycache__"))
    keys = ["--log-vkey", house.log_key, "--seal-vkey", house.seal_key]
    return subprocess.run(
        [sys.executable, "-P", "-m", "recording.verify", str(package), *keys],
        cwd=alone,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(alone)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(shutil.which("age") is None, reason="needs age")
def test_the_tools_of_others_take_the_package_as_it_is(house: House):
    named = house.built()
    assert house.say("fetch", named, str(house.directory / "package.age"), by="ministry").exit_code == 0
    package = house.directory / "package"
    package.mkdir()

    opened = subprocess.run(
        ["age", "-d", "-i", str(house.directory / "identity"), str(house.directory / "package.age")],
        capture_output=True,
        check=False,
    )
    unpacked = subprocess.run(["tar", "x", "-C", str(package)], input=opened.stdout, capture_output=True, check=False)
    bagit = Path(sys.executable).with_name("bagit.py")
    valid = subprocess.run([bagit, "--validate", package], capture_output=True, check=False)
    sums = [
        subprocess.run(["sha512sum", "-c", f"{name}-sha512.txt"], cwd=package, capture_output=True, check=False)
        for name in ("manifest", "tagmanifest")
    ]

    assert (opened.returncode, unpacked.returncode, valid.returncode) == (0, 0, 0), valid.stderr
    assert [each.returncode for each in sums] == [0, 0]


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        ("unknown-recipient", ("--recipient", "somebody")),
        ("beyond-scope", ("--reveal", "RAW")),
        ("beyond-scope", ("--brand", "*")),
        ("scope-period", ("--until", "2020-01-01")),
        ("scope-kinds", ("--kind", "Nothing")),
        ("purpose", ("--why", " ")),
    ],
)
def test_what_may_not_be_asked_for_is_refused_by_its_rule(house: House, rule: str, more: tuple[str, ...]):
    refused = house.request(*more)

    assert isinstance(refused.exception, RuleBroken)
    assert refused.exception.rule == rule
    assert json.loads(house.say("list", "--json").output) == []
    assert not (house.data / "exports").exists()


def test_one_of_the_house_who_asks_does_not_agree_to_it(house: House):
    named = house.request("--reveal", "OBS", by="jiro").output.strip()
    digest = json.loads(house.say("dry-run", named, "--json", by="hanako").output)["digest"]

    refused = house.say("approve", named, "--digest", digest, by="jiro")

    assert str(refused.exception).startswith("approver-is-requester: ")


def test_a_withdrawn_request_leaves_no_file_and_cannot_be_fetched(house: House):
    named = house.built()

    withdrawn = house.say("withdraw", named, by="hanako")
    fetched = house.say("fetch", named, str(house.directory / "package.age"), by="ministry")

    assert withdrawn.exit_code == 0
    assert str(fetched.exception).startswith("request-expired: ")
    assert not [*(house.data / "exports").iterdir()]
    assert "withdrawn" in house.say("list").output
