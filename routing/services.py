"""Whom a place can call for help, and what each of them is as a recipient of personal data."""

from enum import StrEnum


class Service(StrEnum):
    """The first four are the last labels of RFC 5031 service URNs (``urn:service:sos.fire``); the others have none."""

    FIRE = "fire"
    """消防・救急: fire and ambulance answer one number in Japan (119)."""
    POLICE = "police"
    MEDICAL = "ambulance"
    COAST_GUARD = "marine"
    HOSPITAL = "hospital"
    HELICOPTER = "helicopter"
    """ドクターヘリ基地病院: asked for by the fire service, told in parallel (D-Call Net)."""
    ROAD = "road"
    """道路管理者: the operator of an expressway, who closes lanes and knows the kilometre posts."""


ALWAYS = (Service.FIRE, Service.POLICE, Service.MEDICAL, Service.COAST_GUARD)
"""Services that every directory must be able to name somebody for, wherever it is; each has an RFC 5031 URN."""


BESIDE = (Service.HOSPITAL, Service.HELICOPTER)
"""Told beside those who go to the place: that one of these has taken over is not yet help on its way."""


class Recipient(StrEnum):
    """Recipient classes of the rule table: what a law says about a body depends on what it is, not on its name."""

    FIRE = "FIRE"
    """消防本部: fire and ambulance (119)."""
    POL = "POL"
    """警察 (110)."""
    MED = "MED"
    """Ambulance service, where it is a body of its own."""
    HOSP = "HOSP"
    """Hospital that may take the patient in: it prepares, it does not search."""
    HELI = "HELI"
    """ドクターヘリ基地病院: a doctor flies to the place."""
    JCG = "JCG"
    """海上保安庁 (118)."""
    DHQ = "DHQ"
    """災害対策本部: headquarters of a prefecture or municipality in a disaster."""
    FAM = "FAM"
    """Family of the person."""
    RSA = "RSA"
    """Roadside assistance."""
    INS = "INS"
    """Insurer."""
    OEM = "OEM"
    """Maker of the vehicle."""
    INV = "INV"
    """Investigator who asks in writing."""
    CRT = "CRT"
    """Court."""
    CTR = "CTR"
    """Our own centre in another country, and whoever works there for us."""
    ROAD = "ROAD"
    """Road operator, who clears the road and warns those who follow."""


RECIPIENT: dict[Service, Recipient] = {
    Service.FIRE: Recipient.FIRE,
    Service.POLICE: Recipient.POL,
    Service.MEDICAL: Recipient.MED,
    Service.COAST_GUARD: Recipient.JCG,
    Service.HOSPITAL: Recipient.HOSP,
    Service.HELICOPTER: Recipient.HELI,
    Service.ROAD: Recipient.ROAD,
}
"""The class an agency of each service has unless a caller knows better."""
