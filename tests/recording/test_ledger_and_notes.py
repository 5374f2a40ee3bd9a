"""Merkle proofs and signed notes: honest ones verify at every size, and no changed one does."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from recording import ledger, note
from recording.errors import Malformed, Tampered

LEAVES = [ledger.leaf_hash(b"entry %d" % number) for number in range(66_000)]
ALL = ledger.from_leaves(LEAVES)
EDGES = (1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537)
SIZES = st.one_of(st.integers(1, 300), st.sampled_from(EDGES), st.integers(1, len(LEAVES)))
SIGNER = note.Signer("log.centre.example/audit", Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER = note.Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 2.1 word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return ledger.node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def test_hashes_are_those_of_the_rfc():
    assert ledger.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert ledger.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [ledger.leaf_hash(bytes.fromhex(each)) for each in entries]  # the Certificate Transparency test tree
    assert ledger.root(8, leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@given(size=st.integers(0, 140))
def test_the_compact_range_the_nodes_and_the_definition_agree(size):
    tree = ledger.Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    assert tree.root() == ledger.root(size, LEAVES[:size]) == ledger.root(size, ALL) == naive_root(LEAVES[:size])
    again = ledger.Tree.from_state(tree.size, tree.state())
    again.append(LEAVES[size])
    tree.append(LEAVES[size])
    assert again.root() == tree.root()


def test_a_state_of_the_wrong_length_is_refused():
    for size, hashes in ((3, [bytes(32)]), (1, [b"short"]), (-1, [])):
        with pytest.raises(ValueError, match="hashes"):
            ledger.Tree.from_state(size, hashes)


@settings(max_examples=150, deadline=None)
@given(size=SIZES, data=st.data())
def test_every_inclusion_proof_verifies_and_no_changed_one_does(size, data):
    index = data.draw(st.integers(0, size - 1))
    root, proof = ledger.root(size, ALL), ledger.inclusion_proof(index, size, ALL)
    leaf = LEAVES[index]
    assert ledger.verify_inclusion(leaf, index, size, proof, root)
    assert not ledger.verify_inclusion(ledger.leaf_hash(b"other"), index, size, proof, root)
    assert not ledger.verify_inclusion(leaf, index, size, [*proof, bytes(32)], root)
    assert not ledger.verify_inclusion(leaf, index, size, proof, bytes(32))
    assert not ledger.verify_inclusion(leaf, size, size, proof, root)
    assert not ledger.verify_inclusion(leaf, -1, size, proof, root)
    if size > 1:
        other = data.draw(st.integers(0, size - 1).filter(lambda each: each != index))
        assert not ledger.verify_inclusion(leaf, other, size, proof, root)
        at = data.draw(st.integers(0, len(proof) - 1))
        spoiled = [*proof[:at], bytes(31) + b"\1", *proof[at + 1 :]]
        assert not ledger.verify_inclusion(leaf, index, size, spoiled, root)
        assert not ledger.verify_inclusion(leaf, index, size, proof[:at] + proof[at + 1 :], root)
        assert not ledger.verify_inclusion(leaf, index, size, [*proof[:at], b"", *proof[at + 1 :]], root)


@settings(max_examples=150, deadline=None)
@given(one=SIZES, other=SIZES, data=st.data())
def test_every_consistency_proof_verifies_and_no_changed_one_does(one, other, data):
    old, new = sorted((one, other))
    proof = ledger.consistency_proof(old, new, ALL)
    old_root, new_root = ledger.root(old, ALL), ledger.root(new, ALL)
    assert ledger.verify_consistency(old, new, proof, old_root, new_root)
    assert not ledger.verify_consistency(old, new, proof, bytes(32), new_root)
    assert not ledger.verify_consistency(old, new, proof, old_root, bytes(32))
    assert not ledger.verify_consistency(old, new, [*proof, bytes(32)], old_root, new_root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not ledger.verify_consistency(old, new, proof[:at] + proof[at + 1 :], old_root, new_root)
        spoiled = [*proof[:at], bytes(32), *proof[at + 1 :]]
        assert not ledger.verify_consistency(old, new, spoiled, old_root, new_root)


def test_the_empty_tree_is_a_prefix_of_every_tree():
    assert ledger.consistency_proof(0, 7, ALL) == []
    assert ledger.verify_consistency(0, 7, [], ledger.EMPTY_ROOT, ledger.root(7, ALL))
    assert ledger.verify_consistency(0, 0, [], ledger.EMPTY_ROOT, ledger.EMPTY_ROOT)
    assert not ledger.verify_consistency(0, 7, [], bytes(32), ledger.root(7, ALL))
    assert not ledger.verify_consistency(8, 7, [], ledger.root(8, ALL), ledger.root(7, ALL))


def test_a_rewritten_tail_has_no_consistency_proof():
    fork = [*LEAVES[:90], *(ledger.leaf_hash(b"fork %d" % number) for number in range(40))]
    proof = ledger.consistency_proof(100, 130, fork)
    assert not ledger.verify_consistency(100, 130, proof, ledger.root(100, ALL), ledger.root(130, fork))


def test_impossible_proofs_are_not_made():
    with pytest.raises(ValueError, match="leaf 5"):
        ledger.inclusion_proof(5, 5, ALL)
    with pytest.raises(ValueError, match="prefix"):
        ledger.consistency_proof(6, 5, ALL)


LINE = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=30)


@given(lines=st.lists(LINE, min_size=1, max_size=6))
def test_a_note_comes_back_as_it_was_signed(lines):
    text = "\n".join([*lines, "end"]) + "\n"
    signed = note.sign(text, [SIGNER, OTHER])
    opened = note.open_note(signed, [SIGNER.verifier, OTHER.verifier], strict=True)
    assert opened.text == text
    assert [each.name for each in opened.verified] == [SIGNER.name, OTHER.name]


def test_the_example_of_the_specification_is_read_to_the_byte():
    quoted = (
        "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
        "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+"
        "EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
    ).encode()
    stranger = note.with_signatures(note.sign("x\n", [SIGNER]), quoted.rpartition(b"\n\n")[2])
    assert quoted.rpartition(b"\n\n")[2] in stranger
    with pytest.raises(Tampered, match="no known key"):
        note.open_note(quoted, [SIGNER.verifier])


def test_a_line_by_an_unknown_key_passes_unless_strict():
    signed = note.sign("text\n", [SIGNER, OTHER])
    opened = note.open_note(signed, [SIGNER.verifier])
    assert [each.name for each in opened.unverified] == [OTHER.name]
    with pytest.raises(Tampered, match="not given"):
        note.open_note(signed, [SIGNER.verifier], strict=True)


def test_no_bit_of_a_note_is_spare():
    signed = note.sign("origin\n5\nroot\n", [SIGNER])
    for offset in range(len(signed)):
        for bit in range(8):
            spoiled = bytearray(signed)
            spoiled[offset] ^= 1 << bit
            with pytest.raises((Malformed, Tampered)):
                note.open_note(bytes(spoiled), [SIGNER.verifier], strict=True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda signed: signed[:-1],
        lambda signed: signed + b"\n",
        lambda signed: signed.replace(b"\n\n", b"\n"),
        lambda signed: signed.replace(b"\n", b"\r\n"),
        lambda signed: signed + signed.rpartition(b"\n\n")[2],
        lambda signed: b"\xff" + signed,
        lambda signed: signed.replace("— ".encode(), b"- "),
        lambda signed: signed.replace(b"=", b""),
        lambda signed: b"",
        lambda signed: b"\n\n",
    ],
)
def test_what_is_not_a_note_is_refused(spoil):
    with pytest.raises((Malformed, Tampered)):
        note.open_note(spoil(note.sign("text\n", [SIGNER])), [SIGNER.verifier], strict=True)


def test_the_same_signature_in_another_spelling_is_refused():
    signed = note.sign("text\n", [SIGNER]).decode()
    assert signed.endswith("=\n")  # 68 bytes leave two spare bits before the padding
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = signed[-3]
    respelt = f"{signed[:-3]}{alphabet[alphabet.index(last) ^ 1]}=\n"
    with pytest.raises(Malformed, match="canonical"):
        note.open_note(respelt.encode(), [SIGNER.verifier])


def test_a_verifier_key_comes_back_and_no_changed_one_does():
    assert note.Verifier.parse(SIGNER.verifier.vkey) == SIGNER.verifier
    assert note.Verifier.parse(OTHER.witness.vkey).algorithm == note.COSIGNATURE_V1
    known = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"  # golang.org/x/mod/sumdb/note
    assert note.Verifier.parse(known).vkey == known
    for offset in range(len(known)):
        for mask in (1, 0x20):
            spoiled = bytearray(known.encode())
            spoiled[offset] ^= mask
            with pytest.raises(Malformed):
                note.Verifier.parse(spoiled.decode())


def test_the_note_of_the_go_documentation_verifies():
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = (
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    verifier = note.Verifier.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert note.open_note(f"{text}\n{line}".encode(), [verifier], strict=True).text == text


def test_a_cosignature_says_when_and_signs_the_checkpoint():
    checkpoint = note.sign(note.checkpoint_text("log", 5, bytes(32)), [SIGNER])
    line = note.cosign(checkpoint, OTHER, time_seconds=1_795_000_000)
    cosigned = note.with_signatures(checkpoint, line)
    opened = note.open_note(cosigned, [SIGNER.verifier, OTHER.witness], strict=True)
    assert [each.time_seconds for each in opened.verified] == [None, 1_795_000_000]
    assert note.with_signatures(cosigned, line) == cosigned
    other = note.sign(note.checkpoint_text("log", 6, bytes(32)), [SIGNER])
    with pytest.raises(Tampered):
        note.open_note(note.with_signatures(other, line), [SIGNER.verifier, OTHER.witness])


@given(size=st.integers(0, 2**63 - 1), root=st.binary(min_size=32, max_size=32))
def test_a_checkpoint_comes_back(size, root):
    assert note.parse_checkpoint(note.checkpoint_text("log.example", size, root)) == ("log.example", size, root, ())


@pytest.mark.parametrize("size", ["01", "-1", "+1", " 1", "1 ", "", "१", "9" * 19, "9" * 5000, "1e3"])
def test_a_size_has_one_spelling(size):
    text = note.checkpoint_text("log", 1, bytes(32)).replace("\n1\n", f"\n{size}\n")
    with pytest.raises(Malformed):
        note.parse_checkpoint(text)


@pytest.mark.parametrize("text", ["", "log\n", "log\n1\n", "log\n1\nAAAA\n", "log\n1\n\nmore\n", "log\n1\nroot"])
def test_what_is_not_a_checkpoint_is_refused(text):
    with pytest.raises(Malformed):
        note.parse_checkpoint(text)


def test_a_log_proof_comes_back_and_extra_data_is_refused():
    checkpoint = note.sign(note.checkpoint_text("log", 5, bytes(32)), [SIGNER])
    written = note.log_proof(3, [bytes(32), b"\1" * 32], checkpoint)
    assert note.parse_log_proof(written) == note.LogProof(3, (bytes(32), b"\1" * 32), checkpoint)
    assert note.parse_log_proof(note.log_proof(0, [], checkpoint)).hashes == ()
    for spoiled in (
        written.replace(b"index", b"extra AAAA\nindex"),
        written.replace(b"@v1", b"@v2"),
        written.replace(b"index 3", b"index 03"),
        written.replace(b"index 3\n", b"index 3\nAAAA\n"),
    ):
        with pytest.raises(Malformed):
            note.parse_log_proof(spoiled)
