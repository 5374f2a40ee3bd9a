"""Sealed parts and the key store: what is sealed opens for the right key only, what is destroyed opens for nobody."""

import os
import re
import stat
import threading
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from recording import vault
from recording.errors import Destroyed, KeyMissing, Malformed, Tampered
from recording.keys import KeyStore

KEY = bytes(range(32))


@given(payload=st.binary(max_size=600), context=st.binary(max_size=40))
def test_what_is_sealed_opens_again_and_meets_its_commitment(payload, context):
    sealed = vault.seal(KEY, payload, context=context)
    opened = vault.unseal(KEY, sealed.ciphertext, context=context)
    assert opened.payload == payload
    assert vault.commitment(opened.salt, opened.payload) == sealed.commitment
    assert len(sealed.ciphertext) == 12 + 16 + len(payload) + 16


@given(payload=st.binary(max_size=60), data=st.data())
def test_a_changed_byte_is_noticed(payload, data):
    sealed = vault.seal(KEY, payload, context=b"here")
    spoiled = bytearray(sealed.ciphertext)
    spoiled[data.draw(st.integers(0, len(spoiled) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Tampered):
        vault.unseal(KEY, bytes(spoiled), context=b"here")


def test_another_key_or_another_place_does_not_open_it():
    sealed = vault.seal(KEY, b"content", context=b"event-1")
    for key, context in ((vault.new_key(), b"event-1"), (KEY, b"event-2"), (KEY, b"")):
        with pytest.raises(Tampered):
            vault.unseal(key, sealed.ciphertext, context=context)


@pytest.mark.parametrize("length", [0, 1, 12, 43])
def test_a_stump_is_refused(length):
    with pytest.raises(Tampered):
        vault.unseal(KEY, bytes(length), context=b"")


def test_equal_payloads_show_neither_in_ciphertext_nor_in_commitment():
    one, other = (vault.seal(KEY, b"+81 3-5550-0100", context=b"") for _ in range(2))
    assert one.commitment != other.commitment
    assert one.ciphertext != other.ciphertext
    assert sha256(b"+81 3-5550-0100").digest() not in (one.commitment, other.commitment)


def test_the_format_is_plain_aes_gcm_that_anybody_can_open():
    sealed = vault.seal(KEY, b"content", context=b"here")
    plain = AESGCM(KEY).decrypt(sealed.ciphertext[:12], sealed.ciphertext[12:], b"here")
    assert plain[16:] == b"content"
    assert sha256(plain).digest() == sealed.commitment


def test_a_salt_has_one_length():
    with pytest.raises(ValueError, match="16"):
        vault.commitment(b"short", b"x")


def test_a_wrapped_key_comes_back_also_in_the_next_process(tmp_path):
    wrapped = KeyStore(tmp_path).wrap(KEY, retention="incident", month="2026-11", context=b"i1")
    assert KeyStore(tmp_path).unwrap(*wrapped, context=b"i1") == KEY
    assert KEY not in wrapped.wrapped
    assert re.fullmatch(r"incident\.2026-11\.[0-9a-f]{8}", wrapped.kek)


def test_a_wrapped_key_opens_in_its_place_only(tmp_path):
    store = KeyStore(tmp_path)
    wrapped = store.wrap(KEY, retention="incident", month="2026-11", context=b"i1")
    other = store.wrap(KEY, retention="incident", month="2026-12", context=b"i1")
    for kek, content, context in (
        (wrapped.kek, wrapped.wrapped, b"i2"),
        (other.kek, wrapped.wrapped, b"i1"),
        (wrapped.kek, wrapped.wrapped[:-1], b"i1"),
        (wrapped.kek, b"", b"i1"),
        ("../incident", wrapped.wrapped, b"i1"),
    ):
        with pytest.raises(Tampered):
            store.unwrap(kek, content, context=context)


def test_a_destroyed_key_is_gone_for_every_store_and_cache(tmp_path):
    one, other = KeyStore(tmp_path), KeyStore(tmp_path)
    wrapped = one.wrap(KEY, retention="audio", month="2026-11", context=b"")
    assert other.unwrap(*wrapped, context=b"") == KEY
    one.destroy(wrapped.kek)
    one.destroy(wrapped.kek)
    for store in (one, other, KeyStore(tmp_path)):
        assert store.destroyed(wrapped.kek)
        with pytest.raises(Destroyed):
            store.unwrap(*wrapped, context=b"")
    assert one.keks() == ()


def test_what_another_process_does_to_a_key_is_seen_also_where_the_files_were_asked_before(tmp_path):
    one, other = KeyStore(tmp_path), KeyStore(tmp_path)
    wrapped = one.wrap(KEY, retention="open-case", month="2026-01", context=b"c")
    _set_back(tmp_path, seconds=60)
    for _ in range(2):
        assert one.unwrap(wrapped.kek, wrapped.wrapped, context=b"c") == KEY

    other.retire(wrapped.kek, at=datetime(2026, 2, 1, tzinfo=UTC))

    assert one.wrap(KEY, retention="open-case", month="2026-01", context=b"c").kek != wrapped.kek
    _set_back(tmp_path, seconds=50)
    assert one.unwrap(wrapped.kek, wrapped.wrapped, context=b"c") == KEY
    other.destroy(wrapped.kek)
    with pytest.raises(Destroyed):
        one.unwrap(wrapped.kek, wrapped.wrapped, context=b"c")


def test_what_happens_within_the_grain_of_the_file_systems_clock_is_seen(tmp_path):
    store = KeyStore(tmp_path)
    wrapped = store.wrap(KEY, retention="open-case", month="2026-01", context=b"c")
    assert store.unwrap(wrapped.kek, wrapped.wrapped, context=b"c") == KEY
    same = tmp_path.stat().st_mtime_ns

    (tmp_path / f"{wrapped.kek}.destroyed").touch()
    os.utime(tmp_path, ns=(same, same))

    with pytest.raises(Destroyed):
        store.unwrap(wrapped.kek, wrapped.wrapped, context=b"c")


def _set_back(directory, *, seconds: int) -> None:
    """As if the directory had not been changed for so long."""
    then = directory.stat().st_mtime_ns - seconds * 10**9
    os.utime(directory, ns=(then, then))


def test_destroying_overwrites_the_bytes_before_the_name_goes(tmp_path):
    store = KeyStore(tmp_path)
    kek = store.wrap(KEY, retention="audio", month="2026-11", context=b"").kek
    (tmp_path / "kept-open").hardlink_to(tmp_path / f"{kek}.kek")
    before = (tmp_path / "kept-open").read_bytes()
    store.destroy(kek)
    assert (tmp_path / "kept-open").read_bytes() != before
    assert not (tmp_path / f"{kek}.kek").exists()


def test_copies_left_by_a_crash_while_making_the_key_are_destroyed_too(tmp_path):
    store = KeyStore(tmp_path)
    kek = store.wrap(KEY, retention="audio", month="2026-11", context=b"").kek
    left = tmp_path / f".{kek}.kek.0123456789abcdef"
    left.write_bytes((tmp_path / f"{kek}.kek").read_bytes())
    store.destroy(kek)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{kek}.destroyed"]


def test_destruction_interrupted_after_the_tombstone_already_counts(tmp_path):
    store = KeyStore(tmp_path)
    wrapped = store.wrap(KEY, retention="audio", month="2026-11", context=b"")
    (tmp_path / f"{wrapped.kek}.destroyed").touch()
    with pytest.raises(Destroyed):
        store.unwrap(*wrapped, context=b"")
    store.destroy(wrapped.kek)
    assert not (tmp_path / f"{wrapped.kek}.kek").exists()


def test_after_destruction_another_key_takes_over(tmp_path):
    one, other = KeyStore(tmp_path), KeyStore(tmp_path)
    first = one.wrap(KEY, retention="audio", month="2026-11", context=b"")
    other.wrap(KEY, retention="audio", month="2026-11", context=b"")
    one.destroy(first.kek)
    again = [store.wrap(KEY, retention="audio", month="2026-11", context=b"") for store in (one, other)]
    assert {each.kek for each in again} == {again[0].kek}
    assert again[0].kek != first.kek
    assert all(other.unwrap(*each, context=b"") == KEY for each in again)


def test_a_lost_key_is_not_a_destroyed_one_and_its_name_is_never_given_again(tmp_path):
    store = KeyStore(tmp_path)
    wrapped = store.wrap(KEY, retention="audio", month="2026-11", context=b"")
    kept = (tmp_path / f"{wrapped.kek}.kek").rename(tmp_path / "elsewhere")
    with pytest.raises(KeyMissing) as missing:
        store.unwrap(*wrapped, context=b"")
    assert not isinstance(missing.value, Destroyed)
    assert not store.destroyed(wrapped.kek)

    meanwhile = store.wrap(KEY, retention="audio", month="2026-11", context=b"")
    assert meanwhile.kek != wrapped.kek
    kept.rename(tmp_path / f"{wrapped.kek}.kek")
    assert store.unwrap(*wrapped, context=b"") == KEY
    assert store.unwrap(*meanwhile, context=b"") == KEY


def test_keys_are_made_before_their_time_and_used_then(tmp_path):
    store = KeyStore(tmp_path)
    made = store.ahead(("audio", "case"), "2026-11")
    assert [kek.rpartition(".")[0] for kek in made] == [
        f"{retention}.{month}" for retention in ("audio", "case") for month in ("2026-11", "2026-12", "2027-01")
    ]
    assert store.ahead(("audio", "case"), "2026-11") == ()
    assert KeyStore(tmp_path).wrap(KEY, retention="audio", month="2026-12", context=b"").kek in made
    assert store.ahead(("audio",), "2026-12") == tuple(kek for kek in store.keks() if kek.startswith("audio.2027-02"))


def test_a_key_of_the_names_used_before_is_used_on(tmp_path):
    (tmp_path / "audio.2026-11.1.kek").write_bytes(KEY)
    store = KeyStore(tmp_path)
    wrapped = store.wrap(KEY, retention="audio", month="2026-11", context=b"")
    assert wrapped.kek == "audio.2026-11.1"
    assert store.unwrap(*wrapped, context=b"") == KEY


def test_the_inventory_tells_keys_by_a_check_value_and_shows_none(tmp_path):
    store = KeyStore(tmp_path)
    kek = store.wrap(KEY, retention="audio", month="2026-11", context=b"").kek
    secret = store.secret("digest")
    store.signing_key("log")
    before = dict(store.inventory())
    assert set(before) == {f"{kek}.kek", "digest.secret", "log.pem"}
    assert not any(content.hex().startswith(value) for value in before.values() for content in (secret,))
    (tmp_path / "digest.secret").write_bytes(bytes(32))
    assert store.inventory()["digest.secret"] != before["digest.secret"]
    store.destroy(kek)
    assert f"{kek}.kek" not in store.inventory()
    assert store.tombstones() == {kek}


def test_a_damaged_key_file_is_not_used(tmp_path):
    wrapped = KeyStore(tmp_path).wrap(KEY, retention="audio", month="2026-11", context=b"")
    (tmp_path / f"{wrapped.kek}.kek").write_bytes(b"short")
    with pytest.raises(Tampered):
        KeyStore(tmp_path).unwrap(*wrapped, context=b"")
    assert KeyStore(tmp_path).wrap(KEY, retention="audio", month="2026-11", context=b"").kek != wrapped.kek


@pytest.mark.parametrize(
    ("retention", "month"), [("../x", "2026-11"), ("", "2026-11"), ("a", "2026-13"), ("a", "26-1")]
)
def test_names_that_could_leave_the_directory_are_refused(tmp_path, retention, month):
    with pytest.raises(Malformed):
        KeyStore(tmp_path).wrap(KEY, retention=retention, month=month, context=b"")
    with pytest.raises(Malformed):
        KeyStore(tmp_path).destroy(f"{retention}.{month}")


def test_key_files_are_for_the_owner_only(tmp_path):
    store = KeyStore(tmp_path / "keys")
    kek = store.wrap(KEY, retention="audio", month="2026-11", context=b"").kek
    store.signing_key("log")
    store.secret("digest")
    found = sorted(path.name for path in (tmp_path / "keys").iterdir())
    assert found == [f"{kek}.kek", "digest.secret", "log.pem"]
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_signing_keys_and_secrets_stay_the_same(tmp_path):
    one, other = KeyStore(tmp_path), KeyStore(tmp_path)
    assert one.signing_key("log").public_key() == other.signing_key("log").public_key()
    assert one.signing_key("log").public_key() != one.signing_key("seal").public_key()
    assert one.secret("digest") == other.secret("digest")
    assert len(one.secret("digest")) == 32


@pytest.mark.parametrize("flipped", [0, 40, 60])
def test_a_damaged_signing_key_stops_no_start_and_is_kept_for_whoever_can_mend_it(tmp_path, flipped):
    KeyStore(tmp_path).signing_key("log")
    file = tmp_path / "log.pem"
    before = KeyStore(tmp_path).inventory()["log.pem"]
    damaged = bytearray(file.read_bytes())
    damaged[flipped] ^= 0x80
    file.write_bytes(damaged)

    one, other = KeyStore(tmp_path).signing_key("log"), KeyStore(tmp_path).signing_key("log")

    assert one.public_key() == other.public_key()
    assert [kept.read_bytes() for kept in tmp_path.glob("log.pem.damaged.*")] == [bytes(damaged)]
    assert KeyStore(tmp_path).inventory()["log.pem"] != before


def test_a_secret_that_was_cut_short_stops_no_start_and_is_kept_too(tmp_path):
    KeyStore(tmp_path).secret("spool")
    os.truncate(tmp_path / "spool.secret", 7)

    assert len(KeyStore(tmp_path).secret("spool")) == 32
    assert [kept.stat().st_size for kept in tmp_path.glob("spool.secret.damaged.*")] == [7]


def test_many_at_once_get_one_and_the_same_key(tmp_path):
    stores = [KeyStore(tmp_path) for _ in range(8)]
    wrapped = [b""] * len(stores)
    start = threading.Barrier(len(stores))

    def work(number):
        start.wait()
        wrapped[number] = stores[number].wrap(KEY, retention="audio", month="2026-11", context=b"")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.kek for each in wrapped}) == 1
    assert all(stores[0].unwrap(*each, context=b"") == KEY for each in wrapped)
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
