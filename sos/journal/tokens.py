"""A root key that never leaves its device: AES-GCM by PKCS #11 (OASIS, v2.40, 2.12.3), asked in a thread of its own.

The device may be across a network, slow, or away.  Each key-encryption key is opened once and then stays in memory, so
a device that goes away stops nothing that is open; and whoever asks it waits ``within_s`` at most, then nobody for
``REST_S``, so that a device that hangs cannot keep the loop.  A wrong PIN is not tried twice: devices lock themselves.
"""

import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from recording.errors import RootAway, Tampered
from sos.errors import Misconfigured

NONCE_BYTES = 12
REST_S = 30.0
"""After the device did not answer in time."""

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,24}\Z")


class TokenRoot:
    """The AES key ``label`` of ``token``, of which only the label is known here."""

    def __init__(
        self,
        *,
        module: str,
        token: str,
        label: str,
        pin: str,
        within_s: float,
        now: Callable[[], float] = time.monotonic,
        library: Any = None,
    ) -> None:
        """``module``: the library of the device's maker.  ``now``: seconds, for the rest after it did not answer.
        ``library``: another than python-pkcs11."""
        if library is None and find_spec("pkcs11") is None:
            raise Misconfigured("root_keys.token needs the extra hsm (python-pkcs11)")
        if not _LABEL.match(label) or not _LABEL.match(token):
            raise Misconfigured("root_keys: token and label have 1 to 24 letters, digits, hyphens or underscores")
        self.id = f"token-{token}-{label}"
        self._pkcs11: Any = library or import_module("pkcs11")
        self._module, self._token, self._label = module, token, label
        self._pin: str | None = pin
        self._within_s = within_s
        self._now = now
        self._rests_until = -REST_S
        self._session: Any = None
        self._asking = threading.Lock()
        self._asked: Future[bytes] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="root-key")

    def wrap(self, content: bytes, *, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ask(lambda key, how: key.encrypt(content, **how), nonce, context)

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        nonce, closed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return self._ask(lambda key, how: key.decrypt(closed, **how), nonce, context)
        except _Refused as refused:
            self.wrap(b"\0", context=b"")  # devices say «general error» of a wrong tag and of themselves: does it work?
            raise Tampered("not wrapped under this root key") from refused

    def _ask(self, work: Callable[[Any, dict[str, Any]], bytes], nonce: bytes, context: bytes) -> bytes:
        with self._asking:
            if self._now() < self._rests_until or (self._asked is not None and not self._asked.done()):
                raise RootAway("the device with the root key did not answer")
            self._asked = self._thread.submit(self._work, work, nonce, context)
            try:
                return self._asked.result(self._within_s)
            except TooLate:
                self._rests_until = self._now() + REST_S
                raise RootAway(f"the device with the root key did not answer within {self._within_s:g} s") from None

    def _work(self, work: Callable[[Any, dict[str, Any]], bytes], nonce: bytes, context: bytes) -> bytes:
        """In the thread.  A session that has ended, as after a restart of the device, is opened once more."""
        errors = self._pkcs11.exceptions
        gcm = self._pkcs11.GCMParams(nonce=nonce, aad=context, tag_bits=128)
        how = {"mechanism": self._pkcs11.Mechanism.AES_GCM, "mechanism_param": gcm}
        for last in (False, True):
            try:
                return bytes(work(self._key(), how))
            except (errors.EncryptedDataInvalid, errors.EncryptedDataLenRange) as refused:
                raise _Refused(type(refused).__name__) from refused
            except errors.PKCS11Error as failed:
                self._close()
                if last:
                    raise _Refused(type(failed).__name__) from failed
        raise AssertionError

    def _key(self) -> Any:
        if self._session is None:
            self._session = self._opened()
        found = self._pkcs11.ObjectClass.SECRET_KEY
        return self._session.get_key(object_class=found, label=self._label)

    def _opened(self) -> Any:
        if self._pin is None:
            raise RootAway("the device with the root key refused the PIN; it is not tried again")
        errors = self._pkcs11.exceptions
        try:
            token = self._pkcs11.lib(self._module).get_token(token_label=self._token)
            try:
                return token.open(user_pin=self._pin)
            except errors.UserAlreadyLoggedIn:  # another root key of ours in the same device: log-ins hold for all
                return token.open()
        except (errors.PinIncorrect, errors.PinLocked, errors.PinInvalid, errors.PinLenRange, errors.PinExpired) as no:
            self._pin = None
            raise RootAway("the device with the root key refused the PIN; it is not tried again") from no
        except (errors.PKCS11Error, RuntimeError, OSError) as failed:
            raise RootAway(f"the device with the root key is away ({type(failed).__name__})") from failed

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except self._pkcs11.exceptions.PKCS11Error:
                return  # it is gone already


class _Refused(RootAway):
    """The device answered, and not with what was asked for."""
