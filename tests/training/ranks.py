"""`python ranks.py COUNT MODULES ARGUMENTS...`: a command of ddpmcodec in so many processes, as torchrun starts them.

They have the environment that torchrun gives, but PyTorch and the modules (a,b,c), which take longer to import than the
command runs, are imported once. One test uses torchrun itself.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys


def main() -> int:
    count, modules = int(sys.argv.pop(1)), sys.argv.pop(1).split(",")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    os.environ |= {"OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for module in ("torch.distributed", *modules):
        importlib.import_module(module)
    from ddpmcodec.cli import main as command

    started = []
    for rank in range(count):
        if not (child := os.fork()):
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            command()
        started.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started)


if __name__ == "__main__":
    sys.exit(main())
