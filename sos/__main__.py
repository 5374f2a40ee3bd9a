"""``python -m sos`` and the command ``sos``: everything is imported without a search for garbage on the way.

What is imported stays to the end.  To search it again and again while it came was a third of a start (0.6 s of 1.8 s of
CPU: of a container's health check too), and it was part of each long search afterwards, while which the loop stands.
"""

import gc

gc.disable()

from sos import cli  # noqa: E402  after the line above


def main() -> None:
    gc.freeze()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
