"""Names of incidents outside the house."""


def incident_urn(incident: str, domain: str) -> str:
    """The incident's name outside (NENA-STA-010.3 2.1.9)."""
    return f"urn:emergency:uid:incidentid:{incident}:{domain}"
