"""`python -m ddpmcodec.models`: seal the embedded models, and list their ids."""

from __future__ import annotations

from ddpmcodec.models import write_ids

if __name__ == "__main__":
    for name, digest in write_ids().items():
        print(f"{name}: {digest}")
