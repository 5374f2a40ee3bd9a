"""Anchors as the settings want them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from cryptography.x509 import Certificate

from recording import stamp
from recording.anchors import AnchorStore
from recording.errors import RecordingError
from recording.note import COSIGNATURE_V1, Verifier
from sos.anchors.anchoring import Anchoring
from sos.anchors.post import HttpPost
from sos.anchors.stamps import Stamps
from sos.anchors.witnesses import Witness
from sos.errors import Misconfigured
from sos.journal.configured import Kept
from sos.settings import Settings, StampSettings

__all__ = ["Anchoring", "anchoring"]


@asynccontextmanager
async def anchoring(settings: Settings, kept: Kept) -> AsyncIterator[Anchoring]:
    """All of it, until the context is left; nothing is asked of anybody where nobody is set."""
    stamped = settings.stamps or StampSettings()
    verifiers = [_verifier(each.vkey) for each in settings.witnesses]
    async with HttpPost(within_s=stamped.within_s) as post:
        yield Anchoring(
            kept.tiles.checkpoint,
            AnchorStore(kept.data / "anchors", verifiers),
            clock=kept.clock,
            stamps=Stamps(post, stamped.url, _roots(stamped.ca_file), clock=kept.clock) if stamped.url else None,
            stamp_every=timedelta(minutes=stamped.every_min),
            witnesses=[
                Witness(post, each.url, verifier, kept.tiles.consistency_proof, clock=kept.clock)
                for each, verifier in zip(settings.witnesses, verifiers, strict=True)
            ],
            quorum=settings.witness_quorum or len(verifiers),
            late_after={
                "stamp": timedelta(hours=stamped.late_after_h),
                "witness": timedelta(minutes=settings.witness_late_after_min),
            },
        )


def _roots(file: str) -> tuple[Certificate, ...]:
    try:
        return stamp.roots(Path(file).read_bytes())
    except (OSError, RecordingError) as wrong:
        raise Misconfigured(f"stamps.ca_file cannot be read: {wrong}") from wrong


def _verifier(vkey: str) -> Verifier:
    try:
        verifier = Verifier.parse(vkey)
    except RecordingError as wrong:
        raise Misconfigured(f"witnesses.vkey: {wrong}") from wrong
    if verifier.algorithm != COSIGNATURE_V1:
        raise Misconfigured("witnesses.vkey: a witness's key is of type 4 (cosignature/v1)")
    return verifier
