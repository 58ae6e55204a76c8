"""Twin of imapd/fetch_output."""

from pathlib import Path

import pytest

from mailsrv.imapd.fetch_output import Output, format_all
from mailsrv.imapd.state import FLUSH_OCTETS
from mailsrv.mail.mime import Span
from mailsrv.system.openfile import OpenFile


class Sent:
    """What a State is asked to send; it breaks when it is told to."""

    def __init__(self) -> None:
        self.pieces: list[object] = []
        self.breaks = False

    def send(self, octets: bytes) -> None:
        if self.breaks:
            raise ConnectionError
        self.pieces.append(octets)

    def send_file(self, file: OpenFile, offset: int, length: int, last: bool = True) -> None:
        self.pieces.append((offset, length, last))


@pytest.fixture
def file(tmp_path: Path) -> OpenFile:
    (tmp_path / "message").write_bytes(b"0123456789")
    return OpenFile.open(str(tmp_path / "message"))


def test_small_pieces_are_put_together() -> None:
    sent = Sent()
    output = Output(sent)  # type: ignore[arg-type]
    output.put(b"a")
    output.put_together(2, b"b", b"c")
    assert sent.pieces == []
    output.flush()
    output.flush()
    assert sent.pieces == [b"abc"]


def test_much_is_sent_at_once() -> None:
    sent = Sent()
    output = Output(sent)  # type: ignore[arg-type]
    output.put(b"x" * FLUSH_OCTETS)
    assert sent.pieces == []
    output.put(b"y")
    assert [len(piece) for piece in sent.pieces if isinstance(piece, bytes)] == [FLUSH_OCTETS + 1]
    output.put_together(FLUSH_OCTETS + 1, b"z" * (FLUSH_OCTETS + 1), b")")
    assert len(sent.pieces) == 2


def test_spans_keep_their_place(file: OpenFile) -> None:
    sent = Sent()
    output = Output(sent)  # type: ignore[arg-type]
    output.put(b"before ")
    output.put_pieces([b"a ", Span(1, 3), b" b ", Span(5, 2), b" c"], file)
    output.flush()
    assert sent.pieces == [b"before a ", (1, 3, False), b" b ", (5, 2, True), b" c"]
    assert file.fileno() >= 0  # it is closed by whoever sends it
    file.close()


def test_a_file_of_which_nothing_is_left_to_be_sent_is_closed(file: OpenFile) -> None:
    sent = Sent()
    output = Output(sent)  # type: ignore[arg-type]
    output.put_pieces([b"a ", iter([b"b", b"c"]), b")"], file)
    output.flush()
    assert sent.pieces == [b"a bc)"]
    assert file.fileno() < 0


def test_a_file_is_closed_when_the_client_is_gone(file: OpenFile) -> None:
    sent = Sent()
    sent.breaks = True
    with pytest.raises(ConnectionError):
        Output(sent).put_pieces([b"a", Span(0, 5)], file)  # type: ignore[arg-type]
    assert file.fileno() < 0


def test_columns_become_octets_in_one_step() -> None:
    assert format_all(b"%d (%b)\r\n", [range(1, 4), iter([b"a", b"", b"%d"])]) == b"1 (a)\r\n2 ()\r\n3 (%d)\r\n"
