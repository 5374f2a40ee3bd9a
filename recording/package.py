"""What a ``sos-audit-export/1`` package looks like: names, texts and derived views, shared by its writer and verifier.

A package is a BagIt 1.0 bag (RFC 8493) of the log lines of one or more incidents, a proof for each line, the parts
and recordings that the recipient may see, and views made from them for human eyes.  Only strings and bytes here.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

from recording.canonical import canonical, parse_canonical
from recording.errors import Malformed

FORMAT = "sos-audit-export/1"

CHECKPOINT = "data/log/checkpoint"
STAMP = "data/log/checkpoint.tsr"
"""The answer of a time-stamping authority (RFC 3161) over the checkpoint; only there when there is one."""
KEYS = "data/log/keys.txt"
AUDIT = "data/events/audit.jsonl"
DISCLOSURES = "data/events/disclosures.csv"
README = "data/README.txt"
UNREADABLE = "data/unreadable.json"
"""What was asked for and cannot be opened, and why; only there when there is such a thing."""
SEAL = "seal.note"
TAG_MANIFEST = "tagmanifest-sha512.txt"
TAGS = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt", "manifest-sha512.txt")
"""The files that the tag manifest covers; it cannot cover itself, nor the seal that covers it."""
REQUIRED = frozenset({*TAGS, TAG_MANIFEST, SEAL, CHECKPOINT, KEYS, AUDIT, DISCLOSURES, README})

BAGIT_TXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

_ID = "[A-Za-z0-9_-]{1,64}"
PROOF_PATH = re.compile(r"data/proofs/(?P<index>0|[1-9][0-9]{0,18})\.tlog-proof\Z")
PART_PATH = re.compile(rf"data/parts/(?P<event>{_ID})\.(?P<category>[A-Z]{{2,8}})\.json\Z")
RECORDING_PATH = re.compile(
    rf"data/recordings/(?P<recording>{_ID})/(?:(?P<manifest>manifest\.json)|(?P<track>{_ID})\.ogg"
    rf"|(?P<body>{_ID}-[0-9]{{6}})\.body|(?P<chunk>{_ID}-[0-9]{{6}})\.chunk)\Z"
)


WHY = frozenset({"destroyed", "lost", "damaged"})
"""Destroyed on purpose when its time was over; lost, the key is not where it must be; damaged, the bytes were changed.

What was not asked for or may not be seen is *withheld*, which is none of the three.
"""


def known_path(path: str) -> bool:
    """Whether a file of this name may be in a package at all."""
    return (
        path in REQUIRED
        or path in (UNREADABLE, STAMP)
        or any(pattern.match(path) for pattern in (PROOF_PATH, PART_PATH, RECORDING_PATH))
    )


def seal_text(tag_manifest_sha512: str) -> str:
    return f"{FORMAT}\n{tag_manifest_sha512}\n"


def part_json(salt: bytes, payload: bytes) -> bytes:
    """An opened part: its salt and its payload, as text where it is text."""
    try:
        return canonical({"payload": payload.decode(), "salt": salt.hex()})
    except UnicodeDecodeError:
        return canonical({"payload_hex": payload.hex(), "salt": salt.hex()})


def parse_part(content: bytes) -> tuple[bytes, bytes]:
    """Salt and payload of an opened part; ``Malformed`` when ``part_json`` would not have written this."""
    fields = parse_canonical(content)
    try:
        salt = bytes.fromhex(fields["salt"])
        payload = fields["payload"].encode() if "payload" in fields else bytes.fromhex(fields["payload_hex"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Malformed("an opened part has a salt and a payload") from error
    if len(salt) != 16 or part_json(salt, payload) != content:
        raise Malformed("an opened part has a salt of 16 bytes and one payload")
    return salt, payload


def unreadable_json(unreadable: Mapping[str, str]) -> bytes:
    """``<event>.<category>`` or ``recordings/<recording>`` -> why."""
    return canonical(dict(unreadable))


def parse_unreadable(content: bytes) -> Mapping[str, str]:
    """As ``unreadable_json`` wrote it; ``Malformed`` when it did not."""
    told = parse_canonical(content)
    if not isinstance(told, dict) or not told or not set(map(str, told.values())) <= WHY:
        raise Malformed("what cannot be opened is destroyed, lost or damaged")
    return told


def keys_text(log: str, witnesses: Iterable[str], seal: str) -> bytes:
    """The public keys as a convenience; who wants to know the origin gets them another way."""
    lines = [f"log {log}", *(f"witness {each}" for each in witnesses), f"seal {seal}"]
    return ("\n".join(lines) + "\n").encode()


def parse_keys(content: bytes) -> tuple[str, tuple[str, ...], str]:
    """Log key, witness keys and seal key; ``Malformed`` when ``keys_text`` would not have written this."""
    try:
        pairs = [line.split(" ", 1) for line in content.decode().splitlines()]
        found: dict[str, list[str]] = {"log": [], "witness": [], "seal": []}
        for role, vkey in pairs:
            found[role].append(vkey)
        (log,), (seal,) = found["log"], found["seal"]
    except (ValueError, KeyError) as error:
        raise Malformed("the key file names one log key, witness keys and one seal key") from error
    witnesses = tuple(found["witness"])
    if keys_text(log, witnesses, seal) != content:
        raise Malformed("the key file is not in its one spelling")
    return log, witnesses, seal


_VIEW = ("at", "incident", "n", "disclosure", "agency", "service", "rule", "ground", "categories", "withheld")
_VIEW_TIMES = ("sent_at", "delivered_at", "heard_at", "taken_over_at", "rejected_at")
_MARK = "derived view: the evidence is audit.jsonl / 派生表です。証拠は audit.jsonl です"


def disclosures_csv(leaves: Iterable[Mapping[str, Any]]) -> bytes:
    """Who was told what and how far it got, one row per disclosure, for a spreadsheet (UTF-8 with BOM, RFC 4180)."""
    rows: dict[str, dict[str, str]] = {}
    for leaf in leaves:
        data, kind = leaf["data"], leaf["kind"]
        disclosure = str(data.get("disclosure", ""))
        if kind == "DisclosureDecided":
            row = {name: _cell(data.get(name, "")) for name in _VIEW}
            rows[disclosure] = row | {"at": leaf["at"], "incident": leaf["stream"], "n": str(leaf["n"])}
        elif disclosure in rows and (column := _reached(kind, data)):
            rows[disclosure].setdefault(column, leaf["at"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_MARK])
    writer.writerow([*_VIEW, *_VIEW_TIMES])
    writer.writerows([_safe(row.get(name, "")) for name in (*_VIEW, *_VIEW_TIMES)] for row in rows.values())
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _reached(kind: str, data: Mapping[str, Any]) -> str | None:
    match kind, data.get("level"):
        case "DeliveryStarted", _:
            return "sent_at"
        case "DeliveryConfirmed", "delivered":
            return "delivered_at"
        case "AgencyAcknowledged", "heard" | "taken_over" as level:
            return f"{level}_at"
        case "AgencyRejected", _:
            return "rejected_at"
    return None


def _cell(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _safe(cell: str) -> str:
    return f"'{cell}" if cell[:1] in tuple("=+-@\t") else cell  # or a spreadsheet would run it as a formula


README_TEXT = """\
SOS コール 監査記録パッケージ (sos-audit-export/1)

このフォルダーは、緊急通報センターの改ざん検知ログから取り出した記録です。
  events/audit.jsonl       1 行が 1 つの出来事です。個人情報は含まず、その約束値 (コミットメント) だけを持ちます。
  events/disclosures.csv   誰に何を伝えたかの一覧です (audit.jsonl から作った派生表で、証拠ではありません)。
  proofs/                  各行がログに含まれることの証明です。
  parts/                   受領者へ開示された内容。salt と payload の SHA-256 は audit.jsonl の commit と一致します。
  unreadable.json          (あれば) 求められたが開けない部分とその理由: destroyed=期限により破棄、lost=鍵の紛失、
                           damaged=破損。ここにも parts/ にもないものは withheld (非開示) です。
  recordings/              通話録音です。ogg は受信した音声をそのまま収めたもので、body から同じバイト列を再現できます。
  log/checkpoint           ログの署名付き先頭値です。
  log/checkpoint.tsr       (あれば) その時刻証明 (RFC 3161) です。
  log/keys.txt             公開鍵の控えです。出所を確かめるには、別の経路で受け取った鍵を使ってください。
検証: python -m recording.verify <フォルダー> --log-vkey <鍵> --seal-vkey <鍵>

SOS call audit package (sos-audit-export/1)

This folder holds records taken from the tamper-evident log of an emergency call centre.
  events/audit.jsonl       One line is one event. No personal data, only salted commitments to it.
  events/disclosures.csv   Who was told what (a view derived from audit.jsonl, not evidence in itself).
  proofs/                  The proof, for each line, that it is in the log.
  parts/                   What the recipient may see. SHA-256(salt, payload) is the commitment in audit.jsonl.
  unreadable.json          If there: what was asked for and cannot be opened, and why. destroyed: on purpose, its time
                           was over. lost: its key is gone. damaged: its bytes were changed. Neither here nor in
                           parts/: withheld.
  recordings/              Calls. The ogg files hold the sound as received and follow from the bodies byte for byte.
  log/checkpoint           The signed head of the log.
  log/checkpoint.tsr       If there: a time stamp over it (RFC 3161).
  log/keys.txt             Copies of the public keys. To be sure of the origin use keys received another way.
Verify: python -m recording.verify <folder> --log-vkey <key> --seal-vkey <key>
Outside tools: bagit.py --validate (completeness), any c2sp.org/tlog-proof verifier (proofs),
openssl ts -verify -data log/checkpoint -in log/checkpoint.tsr -CAfile <root> (time).
"""
