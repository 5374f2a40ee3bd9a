"""The archive that an export travels in: what is packed comes out the same, and nothing lands beside the directory."""

import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from sos.errors import Malformed
from sos.exports.archive import pack, unpack


def _archive(*entries: tarfile.TarInfo, content: bytes = b"x") -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry in entries:
            entry.size = len(content) if entry.isfile() else 0
            archive.addfile(entry, BytesIO(content))
    return buffer.getvalue()


def _entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def _files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_what_is_packed_comes_out_the_same(tmp_path: Path):
    package = tmp_path / "package"
    (package / "data/parts").mkdir(parents=True)
    (package / "bag-info.txt").write_bytes(b"")
    (package / "data/parts/1.RAW.json").write_bytes(b'{"a": 1}')
    (package / "data" / ("長" * 60)).write_bytes(bytes(range(256)) * 99)

    unpack(pack(package), tmp_path / "out")

    assert _files(tmp_path / "out") == _files(package)


@pytest.mark.parametrize(
    "entry",
    [
        _entry("../beside"),
        _entry("data/../../beside"),
        _entry("/beside"),
        _entry("."),
        _entry("data", tarfile.SYMTYPE, ".."),
        _entry("data", tarfile.LNKTYPE, "first"),
        _entry("data", tarfile.CHRTYPE),
        _entry("data", tarfile.FIFOTYPE),
        _entry("data", tarfile.DIRTYPE),
    ],
    ids=lambda entry: f"{entry.name}-{entry.type.decode()}",
)
def test_what_is_no_file_of_a_package_is_refused_before_anything_is_written(entry: tarfile.TarInfo, tmp_path: Path):
    with pytest.raises(Malformed):
        unpack(_archive(_entry("first"), entry), tmp_path / "out")

    assert not [*tmp_path.rglob("*")]


@pytest.mark.parametrize("body", [b"", b"<html>", b"\x00" * 511, _archive(_entry("a"), content=b"y" * 2000)[:700]])
def test_what_is_no_archive_is_told_in_words(body: bytes, tmp_path: Path):
    with pytest.raises(Malformed, match="no archive"):
        unpack(body, tmp_path / "out")
