"""Twilio as the telephone exchange: its REST client, TwiML, callbacks, and recordings fetched and deleted there."""
