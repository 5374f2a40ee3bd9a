"""The world to an EmergencyReport: every way a vehicle asks for help."""
