"""Twin of imapd/message_file."""

from pathlib import Path

import pytest

from mailsrv.errors import StorageError
from mailsrv.imap.fetch_items import Text
from mailsrv.imapd import message_file
from mailsrv.imapd.message_file import MessageFile
from mailsrv.mail.mime import Span
from mailsrv.mail.transfer import KNOWN
from mailsrv.store.ready import compute
from mailsrv.system.openfile import OpenFile

MIXED = (
    b"Subject: two\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nfirst\r\n--x\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--x--\r\n"
)
PLAIN = b"Subject: plain\r\nContent-Transfer-Encoding: X-Odd\r\n\r\nbody\r\n"


def opened(path: Path, octets: bytes) -> OpenFile:
    name = path / "message"
    name.write_bytes(octets)
    return OpenFile.open(str(name))


@pytest.fixture
def count_readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the messages that were searched for parts."""
    seen: list[int] = []

    def read(octets: bytes) -> object:
        seen.append(len(octets))
        return real(octets)

    real = message_file.read_structure
    monkeypatch.setattr(message_file, "read_structure", read)
    return seen


def section(message: MessageFile, part: tuple[int, ...], text: Text = Text.ALL) -> bytes | None:
    span = message.span(part, text)
    return None if span is None else message.read(span)


def test_sections(tmp_path: Path) -> None:
    with opened(tmp_path, MIXED) as file:
        message = MessageFile(file)
        end = MIXED.index(b"\r\n\r\n") + 4
        assert section(message, ()) == MIXED
        assert section(message, (), Text.HEADER) == section(message, (), Text.FIELDS) == MIXED[:end]
        assert section(message, (), Text.TEXT) == MIXED[end:]
        assert section(message, (1,)) == b"first"
        assert section(message, (2,)) == b"aGVsbG8="
        assert section(message, (2,), Text.MIME) == b"Content-Transfer-Encoding: base64\r\n\r\n"
        assert section(message, (3,)) is None
        assert section(message, (1,), Text.HEADER) is None


def test_what_a_row_tells_is_not_looked_for(tmp_path: Path, count_readings: list[int]) -> None:
    ready = compute(PLAIN).ready
    with opened(tmp_path, PLAIN) as file:
        message = MessageFile(file, ready.header_size, ready.structure)
        assert section(message, (1,)) == section(message, (), Text.TEXT) == b"body\r\n"
        assert section(message, (1,), Text.MIME) == section(message, (), Text.HEADER)
        assert not count_readings
        assert section(message, (1, 1)) is None
        assert count_readings == [len(PLAIN)]


def test_a_wrong_row_is_the_same_as_none(tmp_path: Path) -> None:
    with opened(tmp_path, PLAIN) as file:
        assert section(MessageFile(file, 0, None), (), Text.TEXT) == b"body\r\n"
        assert section(MessageFile(file, None, None), (1,)) == b"body\r\n"


def test_a_message_without_a_body(tmp_path: Path) -> None:
    with opened(tmp_path, b"Subject: x\r\n") as file:
        assert section(MessageFile(file), (), Text.HEADER) == b"Subject: x\r\n"
        assert section(MessageFile(file), (), Text.TEXT) == b""


def test_an_empty_message(tmp_path: Path) -> None:
    with opened(tmp_path, b"") as file:
        assert section(MessageFile(file), ()) == section(MessageFile(file), (), Text.HEADER) == b""
        assert section(MessageFile(file), (1,)) == b""


def test_large_messages_are_mapped_and_remembered(
    tmp_path: Path, count_readings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_file, "IN_MEMORY", 50)
    monkeypatch.setattr(message_file, "REMEMBERED", 60)
    with opened(tmp_path, MIXED) as file:
        for _ in range(3):
            message = MessageFile(file)
            assert section(message, (1,)) == b"first"
            assert b"".join(message.decode(Span(*message.span((2,), Text.ALL) or (0, 0)), b"base64", None)) == b"hello"
    assert count_readings == [len(MIXED)]


def test_few_trees_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_file, "REMEMBERED", 1)
    for number in range(message_file.TREES + 5):
        with opened(tmp_path, b"x" * (number + 1)) as file:
            assert MessageFile(file).tree
    assert len(message_file._TREES._known) == message_file.TREES


def test_what_a_sender_can_make_large_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_file, "REMEMBERED", 1)
    inner = b"Content-Type: message/rfc822; name=%b\r\nContent-Description: %b\r\n\r\n" % (b"x" * 500, b"y" * 500)
    with opened(tmp_path, inner + inner + PLAIN) as file:
        message = MessageFile(file)
        tree = message.tree
        assert "xxx" not in repr(tree) and "yyy" not in repr(tree)
        assert message.encoding((1, 1)) == b"7bit"
        assert section(message, (1, 1, 1)) == b"body\r\n"
        assert message.encoding((1, 1, 1)) == b"?"


def test_a_long_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_file, "IN_MEMORY", 1000)
    octets = b"Subject: " + b"x" * 5000 + b"\r\n\r\nbody"
    with opened(tmp_path, octets) as file:
        assert MessageFile(file).header_size == len(octets) - 4


def test_encodings(tmp_path: Path) -> None:
    with opened(tmp_path, MIXED) as file:
        message = MessageFile(file)
        assert [message.encoding(part) for part in ((), (1,), (2,), (3,))] == [b"7bit", b"7bit", b"base64", None]
    with opened(tmp_path, PLAIN) as file:
        assert MessageFile(file).encoding((1,)) not in KNOWN


@pytest.mark.parametrize(("partial", "expected"), [((0, 3), b"hel"), ((2, 99), b"llo"), ((5, 1), b""), ((9, 1), b"")])
def test_part_of_a_decoded_part(tmp_path: Path, partial: tuple[int, int], expected: bytes) -> None:
    with opened(tmp_path, MIXED) as file:
        message = MessageFile(file)
        span = message.span((2,), Text.ALL)
        assert span is not None and message.decoded_size(span, b"base64") == 5
        assert b"".join(message.decode(span, b"base64", partial)) == expected


def test_blocks_are_cut() -> None:
    blocks = [b"abc", b"def", b"ghi"]
    assert b"".join(message_file._cut_blocks(iter(blocks), 2, 5)) == b"cdefg"
    assert b"".join(message_file._cut_blocks(iter(blocks), 3, 3)) == b"def"


def test_what_is_not_kept_ready(tmp_path: Path) -> None:
    for octets in (MIXED, PLAIN):
        ready = compute(octets).ready
        with opened(tmp_path, octets) as file:
            message = MessageFile(file)
            for name in ("envelope", "structure", "fields", "preview"):
                assert message.ready(name) == getattr(ready, name)


def test_a_file_that_is_shorter_than_it_was(tmp_path: Path) -> None:
    with opened(tmp_path, PLAIN) as file:
        (tmp_path / "message").write_bytes(b"")
        with pytest.raises(StorageError, match="shorter"):
            MessageFile(file).read(Span(0, 5))
