"""The data categories: one tag for each kind of personal data the service holds.

The same tag decides what a disclosure may contain (routing.law), what an export may reveal and what a retention
rule destroys (recording.vault).  Tags and their order are frozen: they stand in log leaves that are kept for years.
"""

from enum import StrEnum


class Category(StrEnum):
    LOC = "LOC"
    """Incident position, heading, time, the positions just before."""
    VEH = "VEH"
    """Make, model, colour, plate, VIN or frame number, propulsion, occupants by belt."""
    SEV = "SEV"
    """Crash severity: delta-V, impact side, airbag, rollover."""
    TEL = "TEL"
    """Call-back number of the vehicle or the person, and the language spoken."""
    PER = "PER"
    """Name, age, sex of the endangered person."""
    OWN = "OWN"
    """Registered owner."""
    OBS = "OBS"
    """Condition heard or observed: what the operator notes during the call."""
    MED = "MED"
    """Medical data registered beforehand (APPI Art. 2(3): needs special care)."""
    FAM = "FAM"
    """Family contact."""
    AUD = "AUD"
    """Recording of the call."""
    TRK = "TRK"
    """Trip history beyond the incident."""
    BIL = "BIL"
    """Contract and billing."""
    RAW = "RAW"
    """A document exactly as received or as sent.  It mixes categories, so it is no category a rule may grant."""


DISCLOSABLE: frozenset[Category] = frozenset(Category) - {Category.RAW}
