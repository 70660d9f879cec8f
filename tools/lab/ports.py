"""TCP ports that no other test of this machine uses: blocks below the ephemeral range, locked."""

import fcntl
import os
import pathlib
import socket
import tempfile

from lab.process import Failed

FIRST, LAST, BLOCK = 21500, 21999, 25


def _free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """Hands out the ports of one block; the block is ours until this object or its process ends."""

    def __init__(self):
        folder = pathlib.Path(tempfile.gettempdir(), f"farshore-ports-{os.getuid()}")
        folder.mkdir(exist_ok=True)
        for first in range(FIRST, LAST + 1, BLOCK):
            self.lock = open(folder / str(first), "w")
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.lock.close()
                continue
            self.left = [port for port in range(first, first + BLOCK) if _free(port)]
            if len(self.left) > BLOCK / 2:
                return
            self.lock.close()
        raise Failed(
            f"no block of {BLOCK} ports between {FIRST} and {LAST} is free: see `ss -tlnp`, and "
            f"end what listens there"
        )

    def take(self):
        return self.left.pop(0)
