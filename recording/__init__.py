"""What is kept, how it is proved and when it is destroyed: a library that knows nothing of the service around it.

Its surface is the modules in ``__all__``; the others are theirs alone.
"""

__all__ = [
    "age",
    "anchors",
    "bag",
    "canonical",
    "disposal",
    "durable",
    "errors",
    "keys",
    "ledger",
    "note",
    "opus",
    "proof",
    "report",
    "retention",
    "root",
    "shown",
    "stamp",
    "succession",
    "tail",
    "tiles",
    "tracks",
    "vault",
    "verify",
    "witness",
]
