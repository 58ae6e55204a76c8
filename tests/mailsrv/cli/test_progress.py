"""The bar on a terminal."""

import io

from mailsrv.cli.progress import Progress
from tests.fakes.clock import FakeClock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_it_is_drawn_now_and_then_and_wiped_away():
    clock, stream = FakeClock(0.0), Terminal()
    progress = Progress(stream, clock)
    progress.begin("Sent\x1b[2J", 48)
    for _ in range(24):
        progress.step()
    assert stream.getvalue().count("\r") == 1
    clock.advance(2.0)
    progress.step(0)
    picture = stream.getvalue().split("\r")[-1]
    assert "Sent?[2J" in picture
    assert f"[{'#' * 12}{'.' * 12}] 24/48  12/s" in picture
    progress.end()
    assert stream.getvalue().endswith(f"\r{' ' * len(picture)}\r")


def test_without_an_end_in_sight():
    stream = Terminal()
    progress = Progress(stream, FakeClock(0.0))
    progress.begin("INBOX")
    assert stream.getvalue().split()[-1] == "0"


def test_nothing_where_nobody_looks():
    stream = io.StringIO()
    progress = Progress(stream, FakeClock(0.0))
    progress.begin("x", 5)
    progress.step()
    progress.end()
    assert stream.getvalue() == ""
