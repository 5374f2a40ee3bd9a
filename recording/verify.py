"""The offline verifier: may a stranger believe this package?  Needs Python and ``cryptography`` only.

Copy the folder ``recording`` and run ``python -m recording.verify <package> --log-vkey ... --seal-vkey ...``; the keys
must have come another way than the package.  Nothing in the package is trusted before the step that checks it.

Steps, in this order:
 1. layout: only files that belong in a package, none missing, no links, no empty folders
 2. seal: the seal key signed the digest of the tag manifest
 3. tag manifest: every tag file has the digest it states
 4. payload manifests: SHA-256 and SHA-512 of every payload file, none missing, none extra
 5. log lines: each is canonical JSON with exactly the fields of a header
 6. inclusion: each line has a proof that leads to the root of the checkpoint
 7. checkpoint: signed by the log, and by each witness that was asked for
 8. completeness: each stream has the lines 1 to N in order, without gap or repetition
 9. parts: each opened part is the one that its line committed to; of the others it is counted how many were destroyed,
    how many are lost or damaged, as the sealer says, and how many were withheld
10. recordings: manifest as in the log, bodies and sealed chunks as in the manifest, sound files as made from the bodies
11. order: nothing was sent before it was decided, nothing was delivered twice; the disclosure view follows from the log
12. time: the stamp of a third party over the checkpoint, where there is one, or one was asked for by its root

A step that could not be carried out has failed.  Files that a desktop left beside the package (``.DS_Store`` and the
like) are named and passed over; sizes, depth and counts are bounded (``recording.bounds``), and everything that comes
from the package is escaped before it is shown (``recording.shown``).

Exit codes: 0 the package holds and both keys came from outside it; 1 do not rely on it; 2 the call was wrong, such as
a key that is none; 3 it agrees with itself, but its origin is not proved, for a key was taken from the package.
"""

import argparse
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any, TypeVar

from cryptography.x509 import Certificate

from recording import bounds, ledger, note, package, stamp
from recording.canonical import parse_canonical
from recording.errors import Malformed, Tampered, TooLarge
from recording.opus import ogg_opus_pages
from recording.proof import SUFFIX as PROOF_SUFFIX
from recording.proof import Proved, verify_file
from recording.report import MOST, Findings, Report, Step
from recording.shown import shown
from recording.tracks import EVENTS, FORMAT, unpack

_HEADER = {"actor": str, "at": str, "commit": dict, "data": dict, "id": str, "kind": str, "n": int}
_HEADER |= {"stream": str, "tenant": str, "v": int}
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z\Z")
_MANIFEST_LINE = re.compile(r"(?P<digest>[0-9a-f]+)  (?P<path>[^ \r\n].*)\Z")
_CHUNK = {"body_sha256": str, "bytes": int, "file": str, "first": int, "last": int, "packets": int}
_CHUNK |= {"seq": int, "sha256": str, "track": str}
_T = TypeVar("_T")


@dataclass(slots=True)
class _Work:
    """What the steps so far have established."""

    directory: Path
    log: note.Verifier | None
    seal: note.Verifier | None
    witnesses: tuple[note.Verifier, ...]
    stamp_roots: tuple[Certificate, ...] = ()
    files: frozenset[str] = frozenset()
    lines: list[bytes] = field(default_factory=list)
    leaves: list[dict[str, Any]] = field(default_factory=list)
    checkpoint: note.Checkpoint | None = None
    places: dict[str, int] = field(default_factory=dict)
    """Event id to line number."""

    def read(self, path: str) -> bytes:
        if path not in self.files:  # so that no link is followed and no pipe waited for
            raise Tampered(f"{path} is missing")
        return bounds.read(self.directory, path)

    def parsed(self, content: bytes) -> dict[str, Any]:
        """One JSON object in its canonical spelling, of a size that memory can bear."""
        bounds.check_values(content)
        return parse_canonical(content)

    def at(self, line: int) -> str:
        return f"{package.AUDIT} line {line}"


def verify_package(
    directory: Path,
    *,
    log_vkey: str | None = None,
    seal_vkey: str | None = None,
    witness_vkeys: Sequence[str] = (),
    stamp_roots: bytes = b"",
) -> Report:
    """Every step's result.  ``Malformed`` when a key that was given cannot be read; the package's faults never raise.

    Without a key the one inside the package is used and the report says that the origin is not proved.  Each witness
    in ``witness_vkeys`` must have cosigned.  ``stamp_roots``: PEM of the certificates that a time stamp must lead to;
    with them the package must hold one.
    """
    work = _Work(
        directory,
        note.Verifier.parse(log_vkey) if log_vkey else None,
        note.Verifier.parse(seal_vkey) if seal_vkey else None,
        tuple(note.Verifier.parse(each) for each in witness_vkeys),
        stamp.roots(stamp_roots) if stamp_roots else (),
    )
    steps = list[Step]()
    for number, (title, check) in enumerate(_STEPS, start=1):
        findings = Findings()
        try:
            check(work, findings)
        except Exception as error:  # noqa: BLE001 - hostile input: a step that cannot be carried out has failed
            findings.wrong("not completed", f"{type(error).__name__}: {error}")
        steps.append(Step(number, title, not findings.problems, findings.told))
    return Report(tuple(steps), bool(log_vkey and seal_vkey))


# 1
def _layout(work: _Work, findings: Findings) -> None:
    files = set[str]()
    if work.directory.is_symlink() or not work.directory.is_dir():
        findings.wrong(str(work.directory), "not a folder")
        return
    left = list[str]()
    with findings.trying("the package"):
        for entry in bounds.entries(work.directory):
            if entry.passed_over:
                left.append(entry.path)
            elif stat.S_ISLNK(entry.mode):
                findings.wrong(entry.path, "a link")
            elif stat.S_ISDIR(entry.mode):
                if entry.empty:
                    findings.wrong(entry.path, "an empty folder")
            elif not stat.S_ISREG(entry.mode) or not package.known_path(entry.path):
                findings.wrong(entry.path, "does not belong in a package")
            elif entry.size > (limit := bounds.most_bytes(entry.path)):
                findings.wrong(entry.path, f"has {entry.size} bytes, and such a file has {limit} at most")
            else:
                files.add(entry.path)
    for missing in sorted(package.REQUIRED - files):
        findings.wrong(missing, "is missing")
    work.files = frozenset(files)
    findings.summary = f"{len(files)} files{_passed_over(left)}"


def _passed_over(left: Sequence[str]) -> str:
    """What a desktop left beside the package, by name."""
    if not left:
        return ""
    more = f" and {len(left) - MOST} more" if len(left) > MOST else ""
    return f"; passed over, no part of the package: {', '.join(left[:MOST])}{more}"


# 2
def _seal(work: _Work, findings: Findings) -> None:
    verifier = work.seal or note.Verifier.parse(package.parse_keys(work.read(package.KEYS))[2])
    with findings.trying(package.SEAL):
        opened = note.open_note(work.read(package.SEAL), [verifier], strict=True)
        if opened.text != package.seal_text(sha512(work.read(package.TAG_MANIFEST)).hexdigest()):
            findings.wrong(package.SEAL, f"was made for another {package.TAG_MANIFEST}")
    findings.summary = f"by {verifier.name}" + ("" if work.seal else ", key taken from the package: origin NOT proved")


# 3
def _tag_manifest(work: _Work, findings: Findings) -> None:
    _match_manifest(work, findings, package.TAG_MANIFEST, work.files.intersection(package.TAGS), sha512)
    if work.read("bagit.txt") != package.BAGIT_TXT:
        findings.wrong("bagit.txt", "is not BagIt 1.0 in UTF-8")
    findings.summary = f"{len(package.TAGS)} tag files"


# 4
def _payload_manifests(work: _Work, findings: Findings) -> None:
    payload = [path for path in work.files if path.startswith("data/")]
    _match_manifest(work, findings, "manifest-sha256.txt", payload, sha256)
    _match_manifest(work, findings, "manifest-sha512.txt", payload, sha512)
    findings.summary = f"{len(payload)} payload files"


# 5
def _log_lines(work: _Work, findings: Findings) -> None:
    content = work.read(package.AUDIT)
    bounds.check_values(content)
    if not content.endswith(b"\n"):
        findings.wrong(package.AUDIT, "does not end with a line end")
        return
    for number, line in enumerate(content[:-1].split(b"\n"), start=1):
        with findings.trying(work.at(number)):
            leaf = parse_canonical(line)
            _check_header(leaf)
            work.lines.append(line)
            work.leaves.append(leaf)
            if number != work.places.setdefault(leaf["id"], number):
                raise Tampered(f"repeats the event of line {work.places[leaf['id']]}")
    findings.summary = f"{len(work.lines)} lines"


# 6
def _inclusion(work: _Work, findings: Findings) -> None:
    lines = _needed(work.lines, "log lines")
    checkpoint = work.read(package.CHECKPOINT)
    head = note.read_checkpoint(checkpoint)
    indices = sorted(int(match["index"]) for path in work.files if (match := package.PROOF_PATH.match(path)))
    if len(indices) != len(lines):
        findings.wrong("data/proofs", f"{len(indices)} proofs for {len(lines)} readable lines")
        return
    for number, (index, line) in enumerate(zip(indices, lines, strict=True), start=1):
        place = f"data/proofs/{index}.tlog-proof"
        with findings.trying(place):
            content = work.read(place)
            proof = note.parse_log_proof(content)
            if proof.index != index or content != note.log_proof(index, proof.hashes, checkpoint):
                findings.wrong(place, "is for another index or another checkpoint")
            elif not ledger.verify_inclusion(ledger.leaf_hash(line), index, head.size, proof.hashes, head.root):
                findings.wrong(place, f"does not prove {work.at(number)}")
    work.checkpoint = head
    findings.summary = f"{len(lines)} of {head.size} entries of {head.origin}"


# 7
def _checkpoint(work: _Work, findings: Findings) -> None:
    inside = package.parse_keys(work.read(package.KEYS))
    log = work.log or note.Verifier.parse(inside[0])
    asked = {(each.name, each.key_id) for each in work.witnesses}
    known = [note.Verifier.parse(each) for each in inside[1]]
    others = [each for each in known if (each.name, each.key_id) not in asked | {(log.name, log.key_id)}]
    with findings.trying(package.CHECKPOINT):
        opened = note.open_note(work.read(package.CHECKPOINT), [log, *work.witnesses, *others], strict=True)
        signed = {(each.name, each.key_id) for each in opened.verified}
        for verifier in (log, *work.witnesses):
            if (verifier.name, verifier.key_id) not in signed:
                findings.wrong(package.CHECKPOINT, f"is not signed by {verifier.name}")
        if note.parse_checkpoint(opened.text).origin != log.name:
            findings.wrong(package.CHECKPOINT, f"is of another log than {log.name}")
        cosigned = len(signed & asked)
        findings.summary = (
            f"by {log.name}{'' if work.log else ', key taken from the package: origin NOT proved'}; "
            f"{cosigned} cosignatures asked for and found, {len(signed) - 1 - cosigned} by keys from the package"
        )


# 8
def _completeness(work: _Work, findings: Findings) -> None:
    last = dict[str, int]()
    for number, leaf in enumerate(_needed(work.leaves, "log lines"), start=1):
        expected = last.get(leaf["stream"], 0) + 1
        if leaf["n"] != expected:
            findings.wrong(work.at(number), f"is event {leaf['n']} of {leaf['stream']}, {expected} should come here")
        last[leaf["stream"]] = max(leaf["n"], last.get(leaf["stream"], 0))
    counts = ", ".join(f"{stream}: 1 to {count}" for stream, count in sorted(last.items()))
    findings.summary = f"{counts} (that nothing came later is the sealer's statement, as of the checkpoint)"


# 9
def _parts(work: _Work, findings: Findings) -> None:
    leaves = {leaf["id"]: leaf for leaf in _needed(work.leaves, "log lines")}
    opened = 0
    withheld = Counter(category for leaf in leaves.values() for category in leaf["commit"])
    for path in sorted(work.files):
        if (match := package.PART_PATH.match(path)) is None:
            continue
        with findings.trying(path):
            event, category = match["event"], match["category"]
            committed = leaves[event]["commit"].get(category) if event in leaves else None
            if committed is None:
                raise Tampered("no line committed to such a part")
            content = work.read(path)
            bounds.check_values(content)
            salt, payload = package.parse_part(content)
            if sha256(salt + payload).hexdigest() != committed:
                raise Tampered(f"is not what {work.at(work.places[event])} committed to")
            opened += 1
            withheld[category] -= 1
    unreadable = Counter[str]()
    for named, why in _unreadable(work, findings).items():
        event, _, category = named.partition(".")
        if named.startswith("recordings/"):
            continue
        if event not in leaves or category not in leaves[event]["commit"]:
            findings.wrong(package.UNREADABLE, f"names {named}, and no line committed to such a part")
        elif f"data/parts/{named}.json" in work.files:
            findings.wrong(package.UNREADABLE, f"says that {named} is {why}, and it is here")
        else:
            unreadable[why] += 1
            withheld[category] -= 1
    told = ", ".join(f"{category} {count}" for category, count in sorted(withheld.items()) if count)
    findings.summary = f"{opened} opened, {withheld.total()} withheld{f' ({told})' if told else ''}"
    findings.summary += "".join(f", {count} {why}" for why, count in sorted(unreadable.items()))


def _unreadable(work: _Work, findings: Findings) -> Mapping[str, str]:
    if package.UNREADABLE not in work.files:
        return {}
    with findings.trying(package.UNREADABLE):
        return package.parse_unreadable(work.read(package.UNREADABLE))
    return {}


# 10
def _recordings(work: _Work, findings: Findings) -> None:
    sealed = dict[str, str]()
    for number, leaf in enumerate(_needed(work.leaves, "log lines"), start=1):
        if leaf["kind"] == "RecordingSealed":
            recording, digest = leaf["data"].get("recording"), leaf["data"].get("manifest_digest")
            if not isinstance(recording, str) or not isinstance(digest, str) or recording in sealed:
                findings.wrong(work.at(number), "does not seal one recording once")
                continue
            sealed[recording] = digest
    present = dict[str, set[str]]()
    for path in work.files:
        if match := package.RECORDING_PATH.match(path):
            present.setdefault(match["recording"], set()).add(path)
    notes = []
    for recording, paths in sorted(present.items()):
        with findings.trying(f"data/recordings/{recording}"):
            if recording not in sealed:
                raise Tampered("no line of the log seals such a recording")
            notes.append(_recording(work, findings, recording, sealed[recording], paths))
    gone = {name: why for name, why in _unreadable(work, findings).items() if name.startswith("recordings/")}
    for name, why in sorted(gone.items()):
        if name.removeprefix("recordings/") not in sealed:
            findings.wrong(package.UNREADABLE, f"names {name}, and no line of the log seals such a recording")
        notes.append(f"{name}: {why}")
    absent = len(sealed.keys() - present.keys())
    findings.summary = "; ".join([f"{len(present)} included, {absent} sealed ones withheld", *notes])


# 11
def _order(work: _Work, findings: Findings) -> None:
    decided, started, delivered = set[tuple[str, str]](), set[tuple[str, str]](), set[tuple[str, str]]()
    for number, leaf in enumerate(_needed(work.leaves, "log lines"), start=1):
        kind, place = leaf["kind"], work.at(number)
        what = (leaf["stream"], str(leaf["data"].get("disclosure")))
        if kind == "DisclosureDecided":
            if what in decided:
                findings.wrong(place, f"decides disclosure {what[1]} again")
            decided.add(what)
        elif kind == "DeliveryStarted":
            if what not in decided:
                findings.wrong(place, f"sends disclosure {what[1]}, which was not decided before")
            started.add(what)
        elif kind == "DeliveryConfirmed":
            if what not in started:
                findings.wrong(place, f"confirms disclosure {what[1]}, which was not sent before")
            if leaf["data"].get("level") == "delivered":
                if what in delivered:
                    findings.wrong(place, f"delivers disclosure {what[1]} a second time")
                delivered.add(what)
    if work.read(package.DISCLOSURES) != package.disclosures_csv(work.leaves):
        findings.wrong(package.DISCLOSURES, "does not follow from the log lines")
    findings.summary = f"{len(decided)} disclosures decided, {len(started)} sent, {len(delivered)} delivered"


# 12
def _time(work: _Work, findings: Findings) -> None:
    if package.STAMP not in work.files:
        if work.stamp_roots:
            findings.wrong(package.STAMP, "is missing, and a time stamp was asked for")
        findings.summary = "no time stamp: when the checkpoint was there is the sealer's statement"
        return
    with findings.trying(package.STAMP):
        found = stamp.check(work.read(package.STAMP), work.read(package.CHECKPOINT), roots=work.stamp_roots)
        proved = "" if found.rooted else ", whose root certificate was not given: NOT proved"
        findings.summary = f"the checkpoint was there at {found.at:%Y-%m-%dT%H:%M:%SZ}, says {found.authority}{proved}"


_STEPS: tuple[tuple[str, Callable[[_Work, Findings], None]], ...] = (
    ("layout", _layout),
    ("seal", _seal),
    ("tag manifest", _tag_manifest),
    ("payload manifests", _payload_manifests),
    ("log lines", _log_lines),
    ("inclusion", _inclusion),
    ("checkpoint", _checkpoint),
    ("completeness", _completeness),
    ("parts", _parts),
    ("recordings", _recordings),
    ("order", _order),
    ("time", _time),
)


def _recording(work: _Work, findings: Findings, recording: str, digest: str, paths: set[str]) -> str:
    """Step 10 for one recording; what to tell about it."""
    folder = f"data/recordings/{recording}"
    content = work.read(f"{folder}/manifest.json")
    if sha256(content).hexdigest() != digest:
        raise Tampered("manifest.json is not the manifest that the log sealed")
    listed = work.parsed(content)
    chunks = _chunks(listed, recording)
    accounted = {f"{folder}/manifest.json"}
    bodies = dict[str, list[str]]()
    for chunk in chunks:
        stem = f"{folder}/{chunk['file'].removesuffix('.chunk')}"
        accounted |= {f"{stem}.body", f"{stem}.chunk"} & paths
        if f"{stem}.chunk" in paths and sha256(work.read(f"{stem}.chunk")).hexdigest() != chunk["sha256"]:
            findings.wrong(f"{stem}.chunk", "is not the sealed chunk of the manifest")
        if f"{stem}.body" in paths:
            body = work.read(f"{stem}.body")
            if sha256(body).hexdigest() != chunk["body_sha256"] or len(body) != chunk["bytes"]:
                findings.wrong(f"{stem}.body", "is not the body of the manifest")
            bodies.setdefault(chunk["track"], []).append(f"{stem}.body")
    for track, found in sorted(bodies.items()):
        if len(found) != sum(chunk["track"] == track for chunk in chunks):
            findings.wrong(f"{folder}/{track}", "a track is given whole or not at all")
        if track != EVENTS:
            accounted.add(f"{folder}/{track}.ogg")
            packets = (packet for body in found for packet in unpack(work.read(body)))
            if not _is(work, f"{folder}/{track}.ogg", ogg_opus_pages(packets)):
                findings.wrong(f"{folder}/{track}.ogg", "does not follow from the bodies")
    for stray in sorted(paths - accounted):
        findings.wrong(stray, "is not in the manifest")
    withheld = {chunk["track"] for chunk in chunks} - bodies.keys()
    lost = f", torn {len(listed['torn'])}, missing {len(listed['missing'])}" if listed["recovered"] else ""
    return f"{recording}: tracks opened {len(bodies)}, withheld {len(withheld)}{lost}"


def _is(work: _Work, path: str, pieces: Iterable[bytes]) -> bool:
    """Whether the file ``path`` consists of ``pieces``; neither is held in memory as a whole."""
    if path not in work.files:
        raise Tampered(f"{path} is missing")
    with (work.directory / path).open("rb") as file:
        return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)


def _chunks(listed: dict[str, Any], recording: str) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = listed["chunks"]
    if listed["format"] != FORMAT or listed["recording"] != recording:
        raise Tampered("manifest.json is of another recording or format")
    if any({name: type(value) for name, value in chunk.items()} != _CHUNK for chunk in chunks):
        raise Tampered("manifest.json lists a chunk without its fields")
    if any(chunk["file"] != f"{chunk['track']}-{chunk['seq']:06d}.chunk" for chunk in chunks):
        raise Tampered("manifest.json lists a chunk under a wrong name")
    numbers = [chunk["seq"] for chunk in chunks]
    if sorted(numbers + listed["missing"]) != list(range(len(numbers) + len(listed["missing"]))):
        raise Tampered("manifest.json does not account for every chunk number")
    if numbers != sorted(numbers):
        raise Tampered("manifest.json lists its chunks out of order")
    return chunks


def _check_header(leaf: dict[str, Any]) -> None:
    fields = dict(leaf)
    answers = fields.pop("answers", 0)
    if {name: type(value) for name, value in fields.items()} != _HEADER or not isinstance(answers, str | None):
        raise Tampered("does not have exactly the fields of a log line")
    if leaf["n"] < 1 or leaf["v"] < 1 or not _AT.match(leaf["at"]):
        raise Tampered("has an impossible number, version or time")
    if not all(isinstance(digest, str) and _HEX_SHA256.match(digest) for digest in leaf["commit"].values()):
        raise Tampered("has a commitment that is not a SHA-256")


def _match_manifest(
    work: _Work, findings: Findings, manifest: str, expected: Iterable[str], algorithm: Callable[[], Any]
) -> None:
    stated = dict[str, str]()
    content = work.read(manifest)
    if content.count(b"\n") > bounds.MOST_LINES:
        raise TooLarge(f"{manifest} has more than {bounds.MOST_LINES} lines")
    lines = content.decode().split("\n")
    if lines.pop():
        findings.wrong(manifest, "does not end with a line end")
    for number, line in enumerate(lines, start=1):
        match = _MANIFEST_LINE.match(line)
        if match is None or match["path"] in stated:
            findings.wrong(f"{manifest} line {number}", "is not a digest, two spaces and a path not yet named")
            continue
        stated[match["path"]] = match["digest"]
    if list(stated) != sorted(stated):
        findings.wrong(manifest, "is not in order")
    present = set(expected)
    for path in sorted(stated.keys() - present):
        findings.wrong(path, f"is in {manifest} but not in the package")
    for path in sorted(present - stated.keys()):
        findings.wrong(path, f"is not in {manifest}")
    for path in sorted(present & stated.keys()):
        digest = algorithm()
        with (work.directory / path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != stated[path]:
            findings.wrong(path, f"differs from {manifest}")


def _needed(found: list[_T], what: str) -> list[_T]:
    if not found:
        raise Tampered(f"there are no readable {what}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; the exit codes are those of the module's description."""
    parser = argparse.ArgumentParser(prog="python -m recording.verify", description="Verify an SOS audit package.")
    parser.add_argument("package", type=Path, help="the folder; or a .tlog-proof with its .entry beside it")
    parser.add_argument("--log-vkey", help="verifier key of the log, name+id+key")
    parser.add_argument("--seal-vkey", help="verifier key of the export seal")
    parser.add_argument("--witness-vkey", action="append", default=[], help="a witness that must have cosigned")
    parser.add_argument("--tsa-ca", type=Path, help="PEM of the root of a time stamp that must be there")
    given = parser.parse_args(arguments)
    report: Report | Proved
    try:
        if given.package.suffix == PROOF_SUFFIX:
            report = verify_file(given.package, log_vkey=given.log_vkey, witness_vkeys=given.witness_vkey)
            sys.stdout.write(f"{report}\n")
            return report.code
        report = verify_package(
            given.package,
            log_vkey=given.log_vkey,
            seal_vkey=given.seal_vkey,
            witness_vkeys=given.witness_vkey,
            stamp_roots=given.tsa_ca.read_bytes() if given.tsa_ca else b"",
        )
    except OSError as wrong:
        parser.error(f"the certificates cannot be read: {wrong.strerror}")
    except Malformed as wrong:
        parser.error(f"this is no key or certificate: {shown(str(wrong))}")
    sys.stdout.write(f"{report}\n")
    return report.code


if __name__ == "__main__":
    sys.exit(main())
