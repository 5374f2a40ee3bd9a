"""Channels to agencies; imported by the composition root alone."""
