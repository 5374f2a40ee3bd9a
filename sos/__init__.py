"""The service: what comes in, and who is working on it."""
