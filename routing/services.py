"""Whom a place can call for help, and what each of them is as a recipient of personal data."""

from enum import StrEnum


class Service(StrEnum):
    """The values are the last labels of RFC 5031 service URNs (``urn:service:sos.fire``)."""

    FIRE = "fire"
    """消防・救急: fire and ambulance answer one number in Japan (119)."""
    POLICE = "police"
    MEDICAL = "ambulance"
    COAST_GUARD = "marine"


class Recipient(StrEnum):
    """Recipient classes of the rule table: what a law says about a body depends on what it is, not on its name."""

    FIRE = "FIRE"
    """消防本部: fire and ambulance (119)."""
    POL = "POL"
    """警察 (110)."""
    MED = "MED"
    """Hospital, doctor helicopter."""
    JCG = "JCG"
    """海上保安庁 (118)."""


RECIPIENT: dict[Service, Recipient] = {
    Service.FIRE: Recipient.FIRE,
    Service.POLICE: Recipient.POL,
    Service.MEDICAL: Recipient.MED,
    Service.COAST_GUARD: Recipient.JCG,
}
"""The class an agency of each service has unless a caller knows better."""
