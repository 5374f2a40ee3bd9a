"""Operators: socket, hub, call distribution, access."""
