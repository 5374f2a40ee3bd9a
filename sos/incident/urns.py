"""Names of incidents outside the house, the same wherever they are told."""

from sos.incident.model import IncidentId


def incident_urn(incident: IncidentId, domain: str) -> str:
    """The incident's name outside (NENA-STA-010.3 3.1.2: ``urn:emergency:uid:incidentid:<unique>:<domain>``)."""
    return f"urn:emergency:uid:incidentid:{incident}:{domain}"
