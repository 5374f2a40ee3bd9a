"""A package on its way from the door to whoever asked: a tar archive of plain files and nothing else.

Written and read by the same rules here, in the words of every supported Python: what tarfile itself knows about
safe unpacking (``filter=``) came with 3.11.4, after Debian 12.
"""

import tarfile
from io import BytesIO
from pathlib import Path, PurePosixPath

from sos.errors import Malformed


def pack(directory: Path) -> bytes:
    """The package as an archive with nothing in it but names and contents."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(str(path.relative_to(directory)))
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)
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
