"""What an agency can answer, in one vocabulary for every channel that carries it back.

A portal button, a signed HTTPS callback, a frame of the EIDO socket, a digit on the telephone and an operator who heard
it spoken all end here, in the same commands.  APCO/CSAA ASAP has accept and reject with a reason; EN 16102 and NENA
EIDO add the course of the operation.

*On the telephone* an answer is a digit after the four check digits of the disclosure, which are read out with the
brief: whoever keys them in has listened.  An answering machine or a voice menu cannot, and neither can a stray key.
Where the machine has read the brief itself and then said which key takes over, that one key is enough.
"""

from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType

from sos.errors import Malformed
from sos.incident.commands import Acknowledge, AskBack, Command, Reject, ReportStatus
from sos.incident.model import Acknowledgement, AgencyId, AgencyStatus, DisclosureId, Question

REASONS = ("not_our_area", "no_unit_free", "already_known", "unreadable", "withdrawn")
"""Why an agency refuses; ``withdrawn``: we said that it is not needed any more, and it agreed."""

REPLY_CODES = (
    Acknowledgement.HEARD.value,
    Acknowledgement.TAKEN_OVER.value,
    *(status.value for status in AgencyStatus),
    *REASONS,
    *(question.value for question in Question),
)

DIGITS: Mapping[str, str] = MappingProxyType(
    {
        "1": Acknowledgement.HEARD.value,
        "2": Acknowledgement.TAKEN_OVER.value,
        "3": AgencyStatus.DISPATCHED.value,
        "4": AgencyStatus.ON_SCENE.value,
        "5": AgencyStatus.CLOSED.value,
        "7": "not_our_area",
        "8": "no_unit_free",
        "0": Question.CALL_ME.value,
    }
)
"""The digit after the check digits; 6 and 9 are free."""

CHECK_DIGITS = 4

TAKES_OVER = "1"
"""The key that is offered after a brief that was read by machine (``BriefSpoken.by_keys``)."""


def command(answer: str, *, disclosure: DisclosureId, agency: AgencyId, text: str = "") -> Command:
    """The order that ``answer`` means.  ``Malformed`` when it is none of ``REPLY_CODES``."""
    if answer in (Acknowledgement.HEARD, Acknowledgement.TAKEN_OVER):
        return Acknowledge(disclosure=disclosure, agency=agency, level=Acknowledgement(answer))
    if answer in REASONS:
        return Reject(disclosure=disclosure, agency=agency, reason=answer)
    if answer in tuple(AgencyStatus):
        return ReportStatus(disclosure=disclosure, agency=agency, status=AgencyStatus(answer))
    if answer in tuple(Question):
        return AskBack(disclosure=disclosure, agency=agency, question=Question(answer), text=text)
    raise Malformed(f"an answer is one of {', '.join(REPLY_CODES)}", field="$.answer")


def check_digits(disclosure: DisclosureId) -> str:
    """Four digits that are read out with the brief and keyed in with the answer."""
    return f"{int.from_bytes(sha256(disclosure.encode()).digest()[:8], 'big') % 10**CHECK_DIGITS:0{CHECK_DIGITS}d}"


def takes_over(keys: str) -> bool:
    """Whether ``keys``, pressed after they were offered, take over."""
    return TAKES_OVER in keys


def keyed(digits: str, *, disclosure: DisclosureId, agency: AgencyId) -> Command:
    """The order that the last keys of a call mean; ``#`` and ``*`` are left out, and slips before them forgiven.

    ``Malformed`` when they are not the check digits of the disclosure and then a digit that means something.
    """
    pressed = "".join(key for key in digits if key in "0123456789")[-CHECK_DIGITS - 1 :]
    if len(pressed) <= CHECK_DIGITS or pressed[:-1] != check_digits(disclosure) or pressed[-1] not in DIGITS:
        raise Malformed("key in the check digits and then one digit", field="$.digits")
    return command(DIGITS[pressed[-1]], disclosure=disclosure, agency=agency)
