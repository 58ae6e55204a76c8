"""The allocator's settings: memory that a password check or a large message needed goes back to the system at once.

The C library's malloc learns from large blocks that are freed: it then takes such blocks from its arenas, of which
each thread may use another, and keeps them. Two hundred wrong logins, two at a time with 19 MiB each, would leave 600
MiB behind. A fixed threshold and few arenas keep a process at what it really uses.

Diagnostics: raises nothing; another C library ignores the settings.
"""

import ctypes

# The parameters of mallopt(3) of the GNU C library.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGE_OCTETS = 1 << 20  # blocks from this size on are mapped, and unmapped when they are freed
_ARENAS = 2  # the interpreter lets one thread allocate at a time, most of the time


def settle() -> bool:
    """Fix the settings for this process; before it starts threads. Gives False where the C library has no mallopt."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_OCTETS)) and bool(mallopt(_M_ARENA_MAX, _ARENAS))
