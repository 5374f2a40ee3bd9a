"""A log that goes on after another says so under its own signature."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recording import note, succession
from recording.errors import Malformed, Tampered
from recording.succession import Succession

OLD = note.Signer("sos.example.com/journal", Ed25519PrivateKey.from_private_bytes(bytes(32)))
NEW = note.Signer("sos.example.com/journal/4f0c91aa", Ed25519PrivateKey.from_private_bytes(bytes(32)))
CHECKPOINT = note.sign(note.checkpoint_text(OLD.name, 7, bytes(32)), [OLD])
BEGUN = Succession(NEW.name, OLD.name, 5, bytes(range(32)), CHECKPOINT)


def test_it_names_the_one_before_with_its_signed_checkpoint():
    found = succession.read(succession.write(BEGUN, NEW), [NEW.verifier])

    assert found == BEGUN
    assert note.open_note(found.checkpoint, [OLD.verifier]).verified


def test_a_changed_statement_is_noticed():
    changed = succession.write(BEGUN, NEW).replace(b"same 5", b"same 6")

    with pytest.raises(Tampered):
        succession.read(changed, [NEW.verifier])


@pytest.mark.parametrize("text", ["a\nb\n", "a\ncontinues b\nsame x\nroot AA==\ncheckpoint \n"])
def test_another_note_is_no_succession(text: str):
    with pytest.raises(Malformed):
        succession.read(note.sign(text, [NEW]), [NEW.verifier])
