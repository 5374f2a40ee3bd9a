"""Marks on disk of mails: under way, taken by the server, come back, and which incidents went in one mail.

A mail server cannot be asked what became of a mail, so a mark stands before the first byte and another after the last.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from sos.dispatch.port import Parcel
from sos.incident.model import DisclosureId, IncidentId

_pairs = msgspec.json.Decoder(list[tuple[IncidentId, DisclosureId]])


class Attempts:
    """Marks on disk of mails under way and of mails that the server has taken."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def begin(self, disclosure: DisclosureId) -> None:
        self._trying(disclosure).touch()

    def end(self, disclosure: DisclosureId, *, sent: bool) -> None:
        if sent:
            self._trying(disclosure).replace(self._sent(disclosure))
        else:
            self._trying(disclosure).unlink(missing_ok=True)

    def bounce(self, disclosure: DisclosureId) -> None:
        self._sent(disclosure).unlink(missing_ok=True)
        self._bounced(disclosure).touch()

    def bounced(self, disclosure: DisclosureId) -> bool:
        return self._bounced(disclosure).exists()

    def sent(self, disclosure: DisclosureId) -> bool:
        return self._sent(disclosure).exists()

    def uncertain(self, disclosure: DisclosureId) -> bool:
        return self._trying(disclosure).exists()

    def list(self, name: str, parcels: Sequence[Parcel]) -> None:
        """Which incidents go in the mail of that ``name``."""
        named = [(parcel.incident, parcel.disclosure) for parcel in parcels]
        self._listed(name).write_bytes(msgspec.json.encode(named))

    def listed(self, name: str) -> Sequence[tuple[IncidentId, DisclosureId]]:
        """Those of the mail of that ``name``; nothing where it is not one of a list."""
        named = self._listed(name)
        return _pairs.decode(named.read_bytes()) if named.exists() else ()

    def _listed(self, name: str) -> Path:
        return self._directory / f"{_safe(name)}.list"

    def _trying(self, disclosure: DisclosureId) -> Path:
        return self._directory / f"{_safe(disclosure)}.trying"

    def _bounced(self, disclosure: DisclosureId) -> Path:
        return self._directory / f"{_safe(disclosure)}.bounced"

    def _sent(self, disclosure: DisclosureId) -> Path:
        return self._directory / f"{_safe(disclosure)}.sent"


def _safe(name: str) -> str:
    return "".join(letter for letter in name if letter.isalnum() or letter in "-_")
