"""The way to the client: what waits is sent at its bound, and files are closed when they are sent, or never will be."""

import pytest

from mailsrv.imapd.state import FLUSH_FILES, FLUSH_OCTETS
from tests.fakes.imap_client import House, message


class Flushes:
    """Counts what is flushed."""

    def __init__(self, state) -> None:
        self.pieces: list[list[object]] = []
        self._state = state
        state.connect(state.core, self.flush, lambda: None)

    def flush(self) -> None:
        self.pieces.append(self._state.core.data_to_send())


@pytest.fixture
def state(tmp_path):
    house = House(tmp_path)
    house.deliver(message(body="x" * 1000))
    return house.client(selected="INBOX").state


def test_little_waits_and_much_is_sent(state) -> None:
    flushes = Flushes(state)
    state.send(b"x" * FLUSH_OCTETS)
    assert flushes.pieces == []
    state.send(b"y")
    assert [len(piece) for piece in flushes.pieces[0]] == [FLUSH_OCTETS + 1]


def test_files_are_closed_when_they_are_sent(state) -> None:
    flushes = Flushes(state)
    file = state.selected.box.open_file(1)
    state.send(b"before")
    state.send_file(file, 0, 10, last=False)
    state.flush()
    assert file.fileno() >= 0
    state.send_file(file, 10, 5)
    state.send_file(state.selected.box.open_file(1), 0, 0)
    assert file.fileno() >= 0
    state.flush()
    assert file.fileno() == -1
    assert [piece if isinstance(piece, bytes) else piece.length for piece in sum(flushes.pieces, [])] == [
        b"before", 10, 5
    ]  # fmt: skip


def test_few_files_are_open_at_a_time(state) -> None:
    flushes = Flushes(state)
    for _ in range(FLUSH_FILES):
        state.send_file(state.selected.box.open_file(1), 0, 1)
    assert len(flushes.pieces) == 1


def test_files_are_closed_when_the_client_is_gone(state) -> None:
    def fail() -> None:
        raise OSError("gone")

    state.connect(state.core, fail, lambda: None)
    file = state.selected.box.open_file(1)
    state.send_file(file, 0, 1)
    with pytest.raises(OSError, match="gone"):
        state.flush()
    assert file.fileno() == -1


def test_drop_lets_go_of_everything(state) -> None:
    file = state.selected.box.open_file(1)
    state.send_file(file, 0, 1)

    class Upload:
        closed = 0

        def close(self) -> None:
            self.closed += 1

    upload = state.upload = Upload()
    state.drop()
    state.drop()
    assert (upload.closed, state.upload, state.view, file.fileno()) == (1, None, None, -1)


def test_modseqs_are_told_from_the_first_time_on(state) -> None:
    flushes = Flushes(state)
    state.use_modseqs()
    state.use_modseqs()
    state.flush()
    assert flushes.pieces == [[b"* OK [HIGHESTMODSEQ %d] highest\r\n" % state.view.modseq]]
    assert not state.rev2
