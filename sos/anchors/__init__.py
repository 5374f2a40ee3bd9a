"""Who vouches for the log from outside: witnesses that cosign it, and an authority that stamps its time."""
