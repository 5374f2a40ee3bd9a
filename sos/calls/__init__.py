"""Voice: the port to telephony providers, the bridge above it, capture."""
