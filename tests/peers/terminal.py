"""A program in a pseudo-terminal, for programs that want a screen: keys go in, and what it paints is waited for.

The screen is not emulated: what is waited for is a run of characters that the program paints in one piece.

Diagnostics: what is not painted within the deadline fails the test with all that was.
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

CONTROL = re.compile(rb"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])|\x0f|\x0e")
ROWS, COLUMNS = 50, 132
PAINT_SECONDS = 30


class Terminal:
    """A context: the program runs inside; it must have ended when it is left."""

    def __init__(self, arguments, **environment) -> None:
        self._screen, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._painted = b""
        self._process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "vt100", "LC_ALL": "C.UTF-8", **environment},
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._screen)

    def expect(self, pattern: str) -> None:
        """Wait until this is painted; what was painted up to its end is forgotten."""
        deadline = time.monotonic() + PAINT_SECONDS
        while not (found := re.search(pattern.encode(), CONTROL.sub(b"", self._painted))):
            if not self._read(deadline):
                self._fail(pattern)
        self._painted = CONTROL.sub(b"", self._painted)[found.end() :]

    def press(self, keys: str) -> None:
        """What a user types."""
        os.write(self._screen, keys.encode())

    def wait_end(self) -> int:
        """The program's exit status."""
        deadline = time.monotonic() + PAINT_SECONDS
        while self._read(deadline):
            pass
        try:
            return self._process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._fail("its end")

    def _read(self, deadline: float) -> bool:
        if not select.select([self._screen], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            octets = os.read(self._screen, 65536)
        except OSError:  # EIO: nobody has the other end any more
            octets = b""
        self._painted += octets
        return bool(octets)

    def _fail(self, what: str):
        pytest.fail(f"waited for {what!r}, and saw only:\n{CONTROL.sub(b'', self._painted).decode(errors='replace')}")
