"""Who gives a command that is somebody's own: an operator or an auditor of the settings, by the token in a file."""

import hashlib
import hmac
from pathlib import Path
from typing import Annotated

import typer

from sos.clock import SystemClock
from sos.console import totp
from sos.errors import Forbidden
from sos.exports.auditors import WHOLE, Auditor, Scope
from sos.settings import Settings

Who = Annotated[str, typer.Option("--operator", help="Your id in the settings.")]
TokenFile = Annotated[Path, typer.Option("--token-file", help="File with your desk token.")]
Digits = Annotated[str, typer.Option("--second-factor", help="Six digits, where you have a second factor.")]


def proved(settings: Settings, operator: str, token_file: Path, digits: str) -> str:
    """Who it is, as the journal names them; ``Forbidden`` where the token or the digits are not theirs."""
    given = hashlib.sha256(token_file.read_text().strip().encode()).hexdigest()
    known = next((each for each in settings.operators if each.id == operator), None)
    if known is None or not hmac.compare_digest(known.token_digest, given):
        raise Forbidden("this desk token is not this operator's", rule="desk-token", account=f"operator:{operator}")
    if known.second_factor_file:
        secret = totp.read_secret(Path(known.second_factor_file))
        if totp.step_of(secret, digits, now=SystemClock().now()) is None:
            raise Forbidden("these digits are not valid", rule="second-factor", account=f"operator:{operator}")
    return f"operator:{operator}"


def proved_supervisor(settings: Settings, operator: str, token_file: Path, digits: str) -> str:
    """As ``proved``, of whoever answers for personal data in the house."""
    by = proved(settings, operator, token_file, digits)
    if not any(each.supervisor for each in settings.operators if each.id == operator):
        raise Forbidden("only a supervisor answers for personal data", rule="supervisor", account=by)
    return by


def asking(settings: Settings, *, operator: str, auditor: str, token_file: Path, digits: str) -> tuple[str, Scope]:
    """Who asks, as the journal names them, and what they may have: an operator of the house, or an auditor."""
    if operator:
        return proved(settings, operator, token_file, digits), WHOLE
    given = hashlib.sha256(token_file.read_text().strip().encode()).hexdigest()
    known = next((each for each in settings.auditors if each.id == auditor), None)
    if known is None or not hmac.compare_digest(known.token_digest, given):
        raise Forbidden("this token is not this auditor's", rule="auditor-token", account=f"auditor:{auditor}")
    return f"auditor:{known.id}", Auditor.of(known).scope
