"""How anchors reach the outside: one POST, bounded in time and in bytes."""

from typing import Protocol

from msgspec import Struct


class Answer(Struct, frozen=True):
    status: int
    body: bytes


class Post(Protocol):
    async def __call__(self, url: str, body: bytes, *, content_type: str) -> Answer:
        """What ``url`` answers.  ``Unavailable`` when it does not, not in time, or with more than anybody may."""
        ...
