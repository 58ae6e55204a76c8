"""Ports of loopback that are free, for servers that are told theirs before they start."""

import random
import socket

# Below those that the kernel gives to clients. The system's own randomness: several test processes look at once.
_RANGE = (10_000, 32_000)
_random = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago; since no client is given them, they stay free."""
    found: set[int] = set()
    while len(found) < count:
        with socket.socket() as probe:
            port = _random.randrange(*_RANGE)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.add(port)
    return list(found)


def free_port() -> int:
    return free_ports(1)[0]
