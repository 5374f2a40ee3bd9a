"""Sealed parts and the key store: what is sealed opens for the right key only, what is destroyed opens for nobody."""

import os
import stat
import threading
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
    assert wrapped.kek == "incident.2026-11.1"


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


def test_after_destruction_a_new_generation_takes_over(tmp_path):
    one, other = KeyStore(tmp_path), KeyStore(tmp_path)
    first = one.wrap(KEY, retention="audio", month="2026-11", context=b"")
    other.wrap(KEY, retention="audio", month="2026-11", context=b"")
    one.destroy(first.kek)
    for store in (one, other):
        again = store.wrap(KEY, retention="audio", month="2026-11", context=b"")
        assert again.kek == "audio.2026-11.2"
        assert other.unwrap(*again, context=b"") == KEY


def test_a_lost_key_is_told_apart_from_a_destroyed_one(tmp_path):
    store = KeyStore(tmp_path)
    wrapped = store.wrap(KEY, retention="audio", month="2026-11", context=b"")
    (tmp_path / f"{wrapped.kek}.kek").unlink()
    with pytest.raises(KeyMissing):
        store.unwrap(*wrapped, context=b"")
    with pytest.raises(KeyMissing):
        store.wrap(KEY, retention="audio", month="2026-11", context=b"")


def test_a_damaged_key_file_is_not_used(tmp_path):
    wrapped = KeyStore(tmp_path).wrap(KEY, retention="audio", month="2026-11", context=b"")
    (tmp_path / f"{wrapped.kek}.kek").write_bytes(b"short")
    with pytest.raises(Tampered):
        KeyStore(tmp_path).unwrap(*wrapped, context=b"")


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
    store.wrap(KEY, retention="audio", month="2026-11", context=b"")
    store.signing_key("log")
    store.secret("digest")
    found = sorted(path.name for path in (tmp_path / "keys").iterdir())
    assert found == ["audio.2026-11.1.kek", "digest.secret", "log.pem"]
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_signing_keys_and_secrets_stay_the_same(tmp_path):
    one, other = KeyStore(tmp_path), KeyStore(tmp_path)
    assert one.signing_key("log").public_key() == other.signing_key("log").public_key()
    assert one.signing_key("log").public_key() != one.signing_key("seal").public_key()
    assert one.secret("digest") == other.secret("digest")
    assert len(one.secret("digest")) == 32


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
    assert {each.kek for each in wrapped} == {"audio.2026-11.1"}
    assert all(stores[0].unwrap(*each, context=b"") == KEY for each in wrapped)
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
