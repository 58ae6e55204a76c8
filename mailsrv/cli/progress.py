"""A bar on a terminal that shows how far a long command is. Where nobody looks, nothing is written.

Diagnostics: raises OSError when the terminal is gone.
"""

from typing import TextIO

from mailsrv.system.clock import Clock
from mailsrv.cli.queue_table import clean

_SECONDS = 0.1  # between two pictures
_WIDTH = 24
_NAME = 28


class Progress:
    """`begin` for each part, `step` for each thing done in it, `end` before anything else is printed."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._shows = stream.isatty()
        self._name = ""
        self._total = self._count = 0
        self._began = self._drawn = 0.0
        self._length = 0

    def begin(self, name: str, total: int = 0) -> None:
        """A new part; `total` 0: nobody knows how much there is."""
        self._name, self._total, self._count = clean(name), total, 0
        self._began = self._clock.monotonic()
        self._draw()

    def step(self, count: int = 1) -> None:
        """So much more is done."""
        self._count += count
        if self._shows and self._clock.monotonic() - self._drawn >= _SECONDS:
            self._draw()

    def end(self) -> None:
        """Wipe it away."""
        if self._length:
            self._stream.write(f"\r{' ' * self._length}\r")
            self._stream.flush()
            self._length = 0

    def _draw(self) -> None:
        if not self._shows:
            return
        self._drawn = self._clock.monotonic()
        seconds = self._drawn - self._began
        text = f"{self._name:<{_NAME}.{_NAME}} "
        if self._total:
            done = min(_WIDTH * self._count // self._total, _WIDTH)
            text += f"[{'#' * done}{'.' * (_WIDTH - done)}] {self._count}/{self._total}"
        else:
            text += f"{self._count}"
        if seconds >= 1:
            text += f"  {self._count / seconds:.0f}/s"
        self._stream.write(f"\r{text:<{self._length}}")
        self._stream.flush()
        self._length = len(text)
