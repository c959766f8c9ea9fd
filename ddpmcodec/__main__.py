"""`python -m ddpmcodec` is the command `ddpmcodec`."""

from __future__ import annotations

from ddpmcodec.cli import main

if __name__ == "__main__":
    main()
