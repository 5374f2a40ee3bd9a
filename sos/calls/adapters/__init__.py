"""Telephony providers; imported by the composition root alone."""
