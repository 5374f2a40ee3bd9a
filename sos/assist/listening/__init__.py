"""Listening along: utterances cut out of a call's sound, written down by a machine, shown to whoever has the call."""
