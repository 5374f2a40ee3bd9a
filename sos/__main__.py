"""``python -m sos``."""

from sos.cli import main

if __name__ == "__main__":
    main()
