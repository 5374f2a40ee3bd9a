"""A package on its way from the door to whoever asked: a tar archive of plain files and nothing else.

Written and read by the same rules here, in the words of every supported Python: what tarfile itself knows about
safe unpacking (``filter=``) came with 3.11.4, after Debian 12.
"""

import tarfile
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path, PurePosixPath

from sos.errors import Malformed


class Archive:
    """A tar archive on its way to ``write``, with nothing in it but names and contents."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._written = 0

    def put(self, path: str, size: int, pieces: Iterable[bytes]) -> None:
        entry = tarfile.TarInfo(path)
        entry.size = size
        entry.mode = 0o644
        self._put(entry.tobuf(tarfile.PAX_FORMAT))
        for piece in pieces:
            self._put(piece)
        self._put(bytes(-size % tarfile.BLOCKSIZE))

    def close(self) -> None:
        self._put(bytes(2 * tarfile.BLOCKSIZE))
        self._put(bytes(-self._written % tarfile.RECORDSIZE))

    def _put(self, content: bytes) -> None:
        self._written += len(content)
        self._write(content)


def pack(directory: Path) -> bytes:
    """The package in ``directory`` as an archive."""
    buffer = BytesIO()
    archive = Archive(buffer.write)
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        archive.put(str(path.relative_to(directory)), path.stat().st_size, (path.read_bytes(),))
    archive.close()
    return buffer.getvalue()


def unpack(archive: bytes, directory: Path) -> None:
    """Writes the files of ``archive`` below ``directory``; Malformed if it is none, or one would land elsewhere.

    Everything is looked at before anything is written.
    """
    try:
        with tarfile.open(fileobj=BytesIO(archive), mode="r:") as packed:
            entries = packed.getmembers()
            targets = [directory / _below(entry) for entry in entries]
            for entry, target in zip(entries, targets, strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                content = packed.extractfile(entry)
                target.write_bytes(content.read() if content else b"")
    except tarfile.TarError as wrong:
        raise Malformed("the export is no archive that can be read") from wrong


def _below(entry: tarfile.TarInfo) -> PurePosixPath:
    """Where ``entry`` goes, counted from the directory asked for."""
    name = PurePosixPath(entry.name)
    if not entry.isfile() or not name.parts or name.is_absolute() or ".." in name.parts:
        raise Malformed("the export holds something that is no file of a package")
    return name
