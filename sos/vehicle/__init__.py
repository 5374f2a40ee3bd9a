"""The simulated car: a client that knows only the public interfaces."""
