"""Root keys from settings: a real token (SoftHSM), one that hangs or refuses, and a house whose root key is away."""

import os
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from recording.errors import RootAway, Tampered
from recording.keys import KeyStore
from recording.root import HeldRoot, Roots
from routing.categories import Category
from sos.cli import app
from sos.clock import ManualClock
from sos.errors import Misconfigured, Unavailable
from sos.incident.model import IncidentId
from sos.journal.custody import Custody
from sos.journal.journal import Journal
from sos.journal.keyring import RETENTIONS, Keyring, Shut
from sos.journal.root_keys import key_store
from sos.journal.spool import Spool
from sos.journal.store import Store
from sos.journal.tokens import REST_S, TokenRoot
from sos.settings import RootKeySettings, Settings
from tests.sos.journal.reports import opened

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "648201"


# Settings


def test_a_key_comes_from_a_file_or_the_environment_and_the_first_is_in_force(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["keys", "root", str(tmp_path / "root")])
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        root_keys=(RootKeySettings(variable="ROOT"), RootKeySettings(file=str(tmp_path / "root"))),
    )
    before = key_store(Settings(data_dir=settings.data_dir, root_keys=settings.root_keys[1:]))
    sealed = before.wrap(b"d" * 32, retention="incident-5y", month="2026-11", context=b"")

    store = key_store(settings, environment={"ROOT": "ab" * 32})

    assert made.exit_code == 0
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o600
    assert store.unwrap(sealed.kek, sealed.wrapped, context=b"") == b"d" * 32
    assert len(list(store.rewrap())) == 1
    alone = Settings(data_dir=settings.data_dir, root_keys=settings.root_keys[:1])
    assert key_store(alone, environment={"ROOT": "ab" * 32}).unwrap(sealed.kek, sealed.wrapped, context=b"")


@pytest.mark.parametrize(
    ("given", "environment", "said"),
    [
        ({}, {}, "give one of"),
        ({"file": "a", "variable": "b"}, {}, "give one of"),
        ({"variable": "SOS_ROOT"}, {}, "must not begin"),
        ({"token": "t", "label": "l"}, {}, "token needs"),
        ({"file": "a", "label": "l"}, {}, "nothing else does"),
        ({"variable": "ROOT"}, {}, "is not set"),
        ({"variable": "ROOT"}, {"ROOT": "zz" * 32}, "64 hexadecimal digits"),
        ({"variable": "ROOT"}, {"ROOT": "ab" * 31}, "64 hexadecimal digits"),
        ({"file": "/nowhere/root"}, {}, "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_root_key_is_said_without_it(
    given: dict[str, Any], environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match=said) as wrong:
        key_store(Settings(data_dir=str(tmp_path), root_keys=(RootKeySettings(**given),)), environment=environment)
    assert not any(value in str(wrong.value) for value in environment.values())


# A real token


@pytest.fixture
def token(tmp_path: Path) -> RootKeySettings:
    if find_spec("pkcs11") is None or not MODULE.exists() or shutil.which("softhsm2-util") is None:
        pytest.skip("the extra hsm or the Debian package softhsm2 is not installed")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    (tmp_path / "pin").write_text(f"{PIN}\n")
    return RootKeySettings(token="sos", module=str(MODULE), label="root", pin_file=str(tmp_path / "pin"))


MAKE = f"""
import pkcs11
token = pkcs11.lib({str(MODULE)!r}).get_token(token_label="sos")
with token.open(user_pin={PIN!r}, rw=True) as session:
    for label in ("root", "next"):
        session.generate_key(pkcs11.KeyType.AES, 256, label=label, store=True,
                             template={{pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.SENSITIVE: True}})
"""

USE = """
import sys
from pathlib import Path
from recording.errors import RootAway, Tampered
from sos.journal.root_keys import key_store
from sos.settings import RootKeySettings, Settings

module, pin, data = sys.argv[1:]
def settings(*labels):
    token = dict(token="sos", module=module, pin_file=pin, within_s=10)
    roots = [RootKeySettings(label=label, **token) for label in labels]
    return Settings(data_dir=data, root_keys=tuple(roots))
def sealed(store):
    return store.wrap(b"d" * 32, retention="incident-5y", month="2026-11", context=b"")
def opened(store, wrapped):
    try:
        return store.unwrap(wrapped.kek, wrapped.wrapped, context=b"") == b"d" * 32
    except (RootAway, Tampered) as refused:
        return type(refused).__name__

store = key_store(settings("root"))
wrapped = sealed(store)
print("again", opened(key_store(settings("root")), wrapped))
print("other root", opened(key_store(settings("next")), wrapped))
moved = key_store(settings("next", "root"))
print("moved", len(list(moved.rewrap())), opened(key_store(settings("next")), wrapped))
(kek,) = Path(data, "keys").glob("*.kek")
head, _, rest = kek.read_bytes().partition(b"\\n")
print("head", head.split()[1].decode())
other = key_store(settings("next"))._roots.current
other.unwrap(rest, context=b"sos-root/1\\0" + kek.name.removesuffix(".kek").encode())
try:
    other.unwrap(rest, context=b"elsewhere")
except Tampered:
    print("elsewhere Tampered")
print("answers", store.root_answers())
"""


def test_a_token_wraps_and_opens_and_is_followed_by_another(token: RootKeySettings, tmp_path: Path) -> None:
    ours = {**os.environ, "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf")}
    init = ["softhsm2-util", "--init-token", "--free", "--label", "sos", "--pin", PIN, "--so-pin", "739105"]
    subprocess.run(init, env=ours, check=True, capture_output=True, timeout=60)
    _python(MAKE, env=ours)

    said = _python(USE, token.module, token.pin_file, str(tmp_path / "data"), env=ours)

    assert said.splitlines() == [
        "again True",
        "other root RootAway",
        "moved 1 True",
        "head token-sos-next",
        "elsewhere Tampered",
        "answers True",
    ]


def test_a_wrong_pin_is_tried_once(token: RootKeySettings, tmp_path: Path) -> None:
    ours = {**os.environ, "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf")}
    init = ["softhsm2-util", "--init-token", "--free", "--label", "sos", "--pin", PIN, "--so-pin", "739105"]
    subprocess.run(init, env=ours, check=True, capture_output=True, timeout=60)
    _python(MAKE, env=ours)
    Path(token.pin_file).write_text("000000")
    script = f"""
from recording.errors import RootAway
from sos.journal.tokens import TokenRoot
root = TokenRoot(module={token.module!r}, token="sos", label="root", pin="000000", within_s=10)
for _ in range(2):
    try:
        root.wrap(b"x", context=b"")
    except RootAway as away:
        print(away, root._pin)
"""
    refused = "the device with the root key refused the PIN; it is not tried again None"

    assert _python(script, env=ours).splitlines() == [refused, refused]


def _python(script: str, *arguments: str, env: dict[str, str]) -> str:
    line = [sys.executable, "-c", script, *arguments]
    run = subprocess.run(line, env=env, capture_output=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode()


# A device that misbehaves


class Failed(RuntimeError):
    pass


class Device:
    """What python-pkcs11 shows of a device: it answers, hangs until it is let go, or fails."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.let_go.set()
        self.fails = 0
        self.sessions = 0
        self._root = HeldRoot(b"t" * 32, id="t")
        names = ("EncryptedDataInvalid", "EncryptedDataLenRange", "UserAlreadyLoggedIn", "PinIncorrect", "PinLocked")
        names = (*names, "PinInvalid", "PinLenRange", "PinExpired")
        self.exceptions = SimpleNamespace(PKCS11Error=Failed, **{name: type(name, (Failed,), {}) for name in names})
        self.Mechanism = SimpleNamespace(AES_GCM=1)
        self.ObjectClass = SimpleNamespace(SECRET_KEY=1)
        self.GCMParams = SimpleNamespace

    def lib(self, _: str) -> "Device":
        return self

    def get_token(self, *, token_label: str) -> "Device":
        return self

    def open(self, *, user_pin: str) -> "Device":
        self.sessions += 1
        return self

    def close(self) -> None:
        return

    def get_key(self, *, object_class: int, label: str) -> "Device":
        return self

    def encrypt(self, content: bytes, *, mechanism: int, mechanism_param: SimpleNamespace) -> bytes:
        self._answer()
        return self._root._cipher.encrypt(mechanism_param.nonce, content, mechanism_param.aad)

    def decrypt(self, closed: bytes, *, mechanism: int, mechanism_param: SimpleNamespace) -> bytes:
        self._answer()
        try:
            return self._root._cipher.decrypt(mechanism_param.nonce, closed, mechanism_param.aad)
        except Exception as wrong:
            raise Failed("general error") from wrong

    def _answer(self) -> None:
        self.let_go.wait(30)
        if self.fails:
            self.fails -= 1
            raise Failed("session closed")


def _over(device: Device, *, within_s: float = 20.0, now: Any = lambda: 0.0) -> TokenRoot:
    return TokenRoot(module="m", token="t", label="l", pin=PIN, within_s=within_s, now=now, library=device)


def test_a_device_that_hangs_is_waited_for_once_and_asked_again_after_its_rest() -> None:
    device, now = Device(), [0.0]
    root = _over(device, within_s=0.05, now=lambda: now[0])
    device.let_go.clear()
    with pytest.raises(RootAway, match="within"):
        root.wrap(b"x", context=b"")
    with pytest.raises(RootAway, match=r"did not answer$"):
        root.wrap(b"x", context=b"")
    now[0] = REST_S + 1
    with pytest.raises(RootAway, match=r"did not answer$"):  # the first question is still out
        root.wrap(b"x", context=b"")

    device.let_go.set()
    assert root._asked is not None
    root._asked.result(30)
    now[0] = 2 * REST_S
    device.let_go.clear()
    with pytest.raises(RootAway, match="within"):
        root.wrap(b"x", context=b"")
    device.let_go.set()
    root._asked.result(30)
    with pytest.raises(RootAway, match=r"did not answer$"):  # it would, but nobody may wait for it so soon
        root.wrap(b"x", context=b"")
    now[0] = 4 * REST_S

    assert _over(device).unwrap(root.wrap(b"x", context=b"c"), context=b"c") == b"x"


def test_a_session_that_ended_is_opened_again_once() -> None:
    device = Device()
    root = _over(device)
    wrapped = root.wrap(b"x", context=b"")
    device.fails = 1

    assert root.unwrap(wrapped, context=b"") == b"x"
    assert device.sessions == 2
    device.fails = 2
    with pytest.raises(RootAway):
        root.wrap(b"x", context=b"")


def test_a_general_error_of_a_device_that_works_is_a_tag_that_is_wrong_and_of_one_that_does_not_it_is_away() -> None:
    device = Device()
    root = _over(device)
    wrapped = root.wrap(b"x", context=b"one")

    with pytest.raises(Tampered):
        root.unwrap(wrapped, context=b"other")
    device.fails = 4
    with pytest.raises(RootAway):
        root.unwrap(wrapped, context=b"one")


# A house whose root key is away


class Switched:
    id = "token-switched"

    def __init__(self) -> None:
        self.on = True
        self._root = HeldRoot(b"s" * 32, id=self.id)

    def wrap(self, content: bytes, *, context: bytes) -> bytes:
        if not self.on:
            raise RootAway("off")
        return self._root.wrap(content, context=context)

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        if not self.on:
            raise RootAway("off")
        return self._root.unwrap(wrapped, context=context)


async def test_reports_wait_in_the_spool_while_no_key_can_be_had_and_none_is_lost(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    device = Switched()
    keys = KeyStore(tmp_path / "rooted", Roots(device))
    spool = Spool(tmp_path / "spool-of-it", keys.secret("spool"))
    device.on = False
    async with Journal(store, keys, spool, clock=clock) as journal:
        answers = [await opened(journal, number) for number in (1, 2)]
        device.on = True
        drained = await journal.drain()

        assert [answer.durability for answer in answers] == ["spooled", "spooled"]
        assert drained == 2
        assert [event.incident for event in await store.follow(0, limit=9)] == [answer.incident for answer in answers]


def test_what_a_root_key_that_is_away_keeps_shut_is_looked_for_again_and_counts_as_no_damage(tmp_path: Path) -> None:
    device, stream, now = Switched(), IncidentId("incident-1"), datetime(2026, 11, 30, tzinfo=UTC)
    _, row = Keyring(KeyStore(tmp_path, Roots(device))).make(stream, Category.OBS, first=1, now=now)
    device.on = False
    keyring = Keyring(KeyStore(tmp_path, Roots(device)))

    away = keyring.open(stream, [row])

    assert away.shut() == {Shut.LOST}
    assert not away.lasting
    with pytest.raises(Unavailable):
        keyring.make(stream, Category.OBS, first=2, now=now)
    device.on = True
    assert keyring.open(stream, [row]).shut() == frozenset()


async def test_a_root_key_that_does_not_answer_is_an_alarm_until_it_does(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    device = Switched()
    keys = KeyStore(tmp_path / "rooted", Roots(device))
    custody = Custody(keys, store, retentions=RETENTIONS, clock=clock)
    await custody.look()
    assert custody.state() == {}
    device.on = False

    with capture_logs() as logged:
        found = await custody.look()

    assert found.missing == ()
    assert custody.state() == {"root_key": "down"}
    assert custody.figures.get_sample_value("sos_root_key_answers") == 0
    assert "root_key_away" in [line["event"] for line in logged]
    device.on = True
    await custody.look()
    assert custody.state() == {}
    assert custody.figures.get_sample_value("sos_root_key_answers") == 1
