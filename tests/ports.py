"""Ports for the servers that tests start."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

OURS = range(20_000, 32_000)  # below those that the kernel gives to whoever asks for any, such as each connection


def free_port() -> int:
    """Nobody listens on it, and nobody is given it by chance before the server that it is for does."""
    for port in random.SystemRandom().sample(OURS, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("a hundred ports are taken")
