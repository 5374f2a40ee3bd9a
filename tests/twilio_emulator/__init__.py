"""Twilio on this machine, for tests and the demonstration: its REST interface, TwiML, callbacks and recordings.

It answers the real client library, calls our webhooks signed as Twilio does, and misbehaves when told to.  It is no
part of the service and is started beside it: ``python -m tests.twilio_emulator --help``.
"""
