"""Ports for servers that cannot be asked which one they got."""

import random
import socket
from contextlib import suppress

# Below the ports that systems hand out to clients (RFC 6335, section 6: from 49152; Linux: from 32768), so that
# a server which is killed finds its port again.
PORTS = range(10_000, 32_768)
_dice = random.SystemRandom()  # tests beside this one must not draw the same: the usual one is seeded for them


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens; that somebody else draws it too is unlikely."""
    while True:
        with suppress(OSError), socket.socket() as taken:
            taken.bind(("127.0.0.1", port := _dice.choice(PORTS)))
            return port
