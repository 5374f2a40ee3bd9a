"""Hostile input, seeded: every decoder and every door, with a probe of the loop.  ``python -m ops.fuzz --help``."""
