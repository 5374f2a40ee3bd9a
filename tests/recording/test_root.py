"""Key-encryption keys under a root key: what lies on the disk opens nothing alone, and moving them loses none."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording import keys as keys_module
from recording.errors import RootAway, Tampered
from recording.keys import KEK_BYTES, KeyStore, held_check
from recording.root import HeldRoot, Roots

OLD, NEW = HeldRoot(b"o" * 32, id="held-old"), HeldRoot(b"n" * 32, id="held-new")
CONTEXT = b"here"


class Away:
    """A device that can be switched off."""

    id = "token-away"

    def __init__(self) -> None:
        self.on = True
        self.asked = 0
        self._root = HeldRoot(b"a" * 32, id=self.id)

    def wrap(self, content: bytes, *, context: bytes) -> bytes:
        self._ask()
        return self._root.wrap(content, context=context)

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        self._ask()
        return self._root.unwrap(wrapped, context=context)

    def _ask(self) -> None:
        self.asked += 1
        if not self.on:
            raise RootAway("off")


def _wrapped(store: KeyStore, *, month: str = "2026-11") -> keys_module.WrappedKey:
    return store.wrap(b"d" * 32, retention="incident-5y", month=month, context=CONTEXT)


def _opens(store: KeyStore, sealed: keys_module.WrappedKey) -> bool:
    return store.unwrap(sealed.kek, sealed.wrapped, context=CONTEXT) == b"d" * 32


def test_the_directory_alone_opens_nothing(tmp_path: Path) -> None:
    sealed = _wrapped(KeyStore(tmp_path, Roots(NEW)))

    assert _opens(KeyStore(tmp_path, Roots(NEW)), sealed)
    for without in (Roots(), Roots(OLD)):
        with pytest.raises(RootAway):
            _opens(KeyStore(tmp_path, without), sealed)
    (file,) = tmp_path.glob("*.kek")
    assert NEW.unwrap(file.read_bytes().partition(b"\n")[2], context=b"sos-root/1\0" + sealed.kek.encode())
    assert len(file.read_bytes()) > KEK_BYTES
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_opens_under_its_own_name_only(tmp_path: Path) -> None:
    store = KeyStore(tmp_path, Roots(NEW))
    one, other = _wrapped(store), _wrapped(store, month="2026-12")
    (tmp_path / f"{other.kek}.kek").write_bytes((tmp_path / f"{one.kek}.kek").read_bytes())

    with pytest.raises(Tampered):
        _opens(KeyStore(tmp_path, Roots(NEW)), other)


@given(at=st.integers(0, 200), flip=st.integers(1, 255))
def test_a_changed_byte_is_seen_with_the_root_and_by_the_check_value_without(
    tmp_path_factory: pytest.TempPathFactory, at: int, flip: int
) -> None:
    directory = tmp_path_factory.mktemp("keys")
    sealed = _wrapped(KeyStore(directory, Roots(NEW)))
    (file,) = directory.glob("*.kek")
    before = file.read_bytes()
    spoiled = bytearray(before)
    spoiled[at % len(spoiled)] ^= flip
    file.write_bytes(spoiled)

    with pytest.raises((Tampered, RootAway)):
        _opens(KeyStore(directory, Roots(NEW)), sealed)
    names_its_root = spoiled[: before.index(b" ", 12)] == before[: before.index(b" ", 12)]
    assert held_check(bytes(spoiled)) != held_check(before) or not names_its_root
    store = KeyStore(directory, Roots(NEW))
    assert _opens(store, _wrapped(store))  # what comes next is sealed all the same


def test_every_key_moves_to_the_root_in_force_and_opens_what_it_did(tmp_path: Path) -> None:
    plain = KeyStore(tmp_path)
    sealed = [_wrapped(plain, month=f"2026-{month:02d}") for month in range(1, 10)]
    checks, contents = plain.inventory(), {path.name: path.read_bytes() for path in tmp_path.glob("*.kek")}

    assert len(list(KeyStore(tmp_path, Roots(OLD)).rewrap())) == 9
    assert list(KeyStore(tmp_path, Roots(OLD)).rewrap()) == []
    assert len(list(KeyStore(tmp_path, Roots(NEW, [OLD])).rewrap())) == 9

    store = KeyStore(tmp_path, Roots(NEW))
    assert all(_opens(store, each) for each in sealed)
    assert store.inventory() == checks
    assert {held.root for held in store.lying().values()} == {"held-new"}
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert not any(content in everything for content in contents.values())
    assert list(KeyStore(tmp_path, Roots(None, [NEW])).rewrap()) == sorted(store.keks())
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.kek")} == contents


def test_a_move_that_is_stopped_goes_on_and_a_service_meanwhile_opens_all(tmp_path: Path) -> None:
    running = KeyStore(tmp_path, Roots(NEW, [OLD]))
    before = KeyStore(tmp_path, Roots(OLD))
    sealed = [_wrapped(before, month=f"2026-{month:02d}") for month in range(1, 6)]
    moving = KeyStore(tmp_path, Roots(NEW, [OLD])).rewrap()
    next(moving), next(moving)

    assert all(_opens(running, each) for each in sealed)
    assert len(list(KeyStore(tmp_path, Roots(NEW, [OLD])).rewrap())) == 3
    assert all(_opens(KeyStore(tmp_path, Roots(NEW)), each) for each in sealed)


def test_what_a_stopped_move_left_behind_goes_when_the_key_is_destroyed(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    kek = _wrapped(store).kek
    content = (tmp_path / f"{kek}.kek").read_bytes()
    os.link(tmp_path / f"{kek}.kek", tmp_path / f".{kek}.kek.left")

    list(KeyStore(tmp_path, Roots(NEW)).rewrap())
    KeyStore(tmp_path, Roots(NEW)).destroy(kek)

    assert not any(content in path.read_bytes() for path in tmp_path.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == [f"{kek}.destroyed"]


def test_a_move_that_goes_on_leaves_nothing_in_clear_of_one_that_was_stopped(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    moved, not_yet = _wrapped(store), _wrapped(store, month="2026-12")
    contents = [path.read_bytes() for path in tmp_path.glob("*.kek")]
    for sealed in (moved, not_yet):
        os.link(tmp_path / f"{sealed.kek}.kek", tmp_path / f".{sealed.kek}.kek.left")
    before = (tmp_path / f"{moved.kek}.kek").read_bytes()
    (tmp_path / "moved").write_bytes(Roots(NEW).close(before, name=moved.kek, check=keys_module.check_value))
    (tmp_path / "moved").replace(tmp_path / f"{moved.kek}.kek")

    assert list(KeyStore(tmp_path, Roots(NEW)).rewrap()) == [not_yet.kek]

    assert not any(content in path.read_bytes() for content in contents for path in tmp_path.iterdir())
    assert all(_opens(KeyStore(tmp_path, Roots(NEW)), sealed) for sealed in (moved, not_yet))


def test_a_key_that_is_destroyed_while_it_moves_stays_destroyed(tmp_path: Path) -> None:
    kek = _wrapped(KeyStore(tmp_path)).kek
    destroying = threading.Thread(target=KeyStore(tmp_path).destroy, args=(kek,))

    class Meanwhile(HeldRoot):
        def wrap(self, content: bytes, *, context: bytes) -> bytes:
            destroying.start()
            destroying.join(0.2)
            return super().wrap(content, context=context)

    list(KeyStore(tmp_path, Roots(Meanwhile(b"n" * 32, id="held-new"))).rewrap())
    destroying.join()

    assert [path.name for path in tmp_path.iterdir()] == [f"{kek}.destroyed"]


def test_a_device_that_goes_away_leaves_open_what_is_open(tmp_path: Path) -> None:
    device = Away()
    store = KeyStore(tmp_path, Roots(device))
    sealed = _wrapped(store)
    device.on, device.asked = False, 0

    assert _opens(store, sealed)
    assert _opens(store, _wrapped(store))
    assert device.asked == 0
    assert not store.root_answers()
    fresh = KeyStore(tmp_path, Roots(device))
    with pytest.raises(RootAway):
        _opens(fresh, sealed)
    with pytest.raises(RootAway):
        _wrapped(fresh)
    assert fresh.inventory() == store.inventory()
    device.on = True
    assert _opens(fresh, sealed)
    assert _opens(fresh, _wrapped(fresh))
    assert fresh.root_answers()


def test_what_lies_under_a_root_that_is_gone_stops_no_new_key(tmp_path: Path) -> None:
    _wrapped(KeyStore(tmp_path, Roots(OLD)))
    store = KeyStore(tmp_path, Roots(NEW))

    sealed = _wrapped(store)

    assert _opens(store, sealed)
    assert {held.root for held in store.lying().values()} == {"held-old", "held-new"}


class Liar(HeldRoot):
    """A device that gives back other bytes than it was given."""

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        return bytes(len(super().unwrap(wrapped, context=context)))


def test_a_root_that_lies_is_found_out_and_not_asked_for_ever(tmp_path: Path) -> None:
    with pytest.raises(Tampered):
        _wrapped(KeyStore(tmp_path, Roots(Liar(b"l" * 32, id="held-liar"))))
