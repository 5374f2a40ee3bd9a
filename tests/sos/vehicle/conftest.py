"""A car on the line needs what it talks to, as the voice tests have it."""

from tests.sos.calls.conftest import new_peer, provider

__all__ = ["new_peer", "provider"]
