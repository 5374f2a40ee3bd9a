"""The root keys of the settings: from a file, from the environment, or in a device (PKCS #11)."""

import os
from collections.abc import Mapping
from pathlib import Path

from recording.keys import KeyStore, check_value
from recording.root import ROOT_BYTES, HeldRoot, RootKey, Roots
from sos.errors import Misconfigured
from sos.journal.tokens import TokenRoot
from sos.settings import RootKeySettings, Settings


def key_store(settings: Settings, *, environment: Mapping[str, str] | None = None) -> KeyStore:
    """The key directory of ``settings``, its KEKs under the first of the root keys; ``Misconfigured`` names a fault.

    A device is not asked yet: one that does not answer stops no start.
    """
    environment = os.environ if environment is None else environment
    roots = [_root(root, environment) for root in settings.root_keys]
    if len({root.id for root in roots}) != len(roots):
        raise Misconfigured("root_keys: the same key stands there twice")
    return KeyStore(settings.data / "keys", Roots(roots[0], roots[1:]) if roots else None)


def _root(settings: RootKeySettings, environment: Mapping[str, str]) -> RootKey:
    if settings.token:
        return TokenRoot(
            module=settings.module,
            token=settings.token,
            label=settings.label,
            pin=_read(settings.pin_file, "pin_file"),
            within_s=settings.within_s,
        )
    if settings.variable:
        if settings.variable not in environment:
            raise Misconfigured(f"root_keys: the environment variable {settings.variable} is not set")
        return _held(environment[settings.variable])
    return _held(_read(settings.file, "file"))


def _held(written: str) -> RootKey:
    try:
        key = bytes.fromhex(written)
    except ValueError:
        key = b""
    if len(key) != ROOT_BYTES:
        raise Misconfigured(f"root_keys: a root key is {2 * ROOT_BYTES} hexadecimal digits (`sos keys root FILE`)")
    return HeldRoot(key, id=f"held-{check_value(key)}")


def _read(file: str, name: str) -> str:
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeError) as wrong:
        raise Misconfigured(f"root_keys.{name} cannot be read ({type(wrong).__name__})") from wrong
