"""Twin of imapd/fetch_blocks: sessions over a real store. What is told, in dialogs: tests/cases/imap/fetch*.dialog."""

import contextlib
import os
import re
from pathlib import Path

import pytest

from mailsrv.errors import StorageError
from mailsrv.imapd import fetch_blocks
from mailsrv.mail.mime import Part
from mailsrv.mail.preview import preview
from mailsrv.store.filling import Filler
from mailsrv.store.index import Key
from mailsrv.store.values import DELETED, FLAGGED, SEEN, Operation
from mailsrv.imap.numbers import NumberSet
from mailsrv.system.openfile import OpenFile
from tests.fakes.imap_client import Client, House, message

META = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY PREVIEW BODY.PEEK[HEADER.FIELDS (Subject To)])"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def selected(house: House, *octets: bytes, enabled: str = "", examine: bool = False) -> Client:
    house.deliver(*octets)
    return house.client(selected="INBOX", enabled=enabled, examine=examine)


def numbered(lines: list[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines if " FETCH (" in line]


def compute(house: House) -> None:
    """What happens in the background after delivery."""
    box = house.box()
    Filler(house.readers._index("alice")).fill_mailbox(Key(box.id, box.uidvalidity), lambda files: None)


def open_messages(house: House) -> list[str]:
    """Messages of which this process has a file open."""
    maildir = os.path.realpath(house.path)
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [path for path in found if path.startswith(maildir) and "host.example" in path]


def remove_files(house: House) -> None:
    root = Path(house.path) / "accounts" / "alice"
    for path in [*(root / "new").iterdir(), *(root / "cur").iterdir()]:
        path.unlink()


# Ready octets


def test_what_is_computed_and_what_is_not_are_told_alike(house: House) -> None:
    client = selected(house, message("one"), message("two", body="é", Content_Type="text/html"), b"", b"\r\n\0", b"x")
    before = client.do(f"FETCH 1:* {META}")
    assert len(numbered(before)) == 5 and before[-1].startswith("OK")
    compute(house)
    assert client.do(f"FETCH 1:* {META}") == before


def test_what_is_computed_needs_no_file(house: House) -> None:
    client = selected(house, message("one"), message("two"))
    compute(house)
    before = client.do(f"FETCH 1:* {META}")
    remove_files(house)
    assert client.do(f"FETCH 1:* {META}") == before


def test_what_many_messages_lack_is_computed_and_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = selected(house, *[message(f"{number}", body="x" * number) for number in range(12)])
    before = client.do("FETCH 1:* (UID ENVELOPE BODYSTRUCTURE)")
    monkeypatch.setattr(fetch_blocks, "COMPUTED", 5)
    assert client.do("FETCH 1:4 (UID ENVELOPE BODYSTRUCTURE)")[:4] == before[:4]
    assert client.do("FETCH 3:7,9 (UID ENVELOPE BODYSTRUCTURE)")[:6] == [*before[2:7], before[8]]
    kept = [uid for uid, size in house.box().rows(None, ("uid", "header_size")) if size]
    assert kept == [3, 4, 5, 6, 7, 8]  # from the first one that lacks it: the rest comes from the file
    assert client.do("FETCH 1:* (UID ENVELOPE BODYSTRUCTURE)") == before


def test_an_index_that_cannot_be_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise StorageError("no room")

    client = selected(house, message("one"))
    before = client.do("FETCH 1 ENVELOPE")
    monkeypatch.setattr(fetch_blocks, "COMPUTED", 1)
    monkeypatch.setattr(Filler, "fill_from", refuse)
    assert client.do("FETCH 1 ENVELOPE") == before
    assert len(house.log.named("storage")) == 1


def test_what_is_too_large_to_be_kept_comes_from_the_file(house: House) -> None:
    client = selected(house, message("x" * 100_000, to="a@example.com"))
    compute(house)
    lines = client.do("FETCH 1 (ENVELOPE BODY.PEEK[HEADER.FIELDS (Subject)])")
    assert "{100000}" in lines[0] and "{100013}" in "".join(lines)


def test_a_lazy_preview_is_not_looked_for(house: House) -> None:
    client = selected(house, message("one", body="hello you"))
    assert client.do("FETCH 1 (PREVIEW (LAZY))")[0] == "* 1 FETCH (PREVIEW NIL)"
    compute(house)
    assert client.do("FETCH 1 (PREVIEW (LAZY))")[0] == '* 1 FETCH (PREVIEW "hello you")'


def test_a_bug_is_told_once_and_costs_one_preview(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = selected(house, *(message(word, body=word) for word in ("good", "broken", "fine")))
    compute(house)

    def broken(octets: bytes, structure: Part) -> str:
        if b"broken" in octets:
            raise ZeroDivisionError("a bug")
        return preview(octets, structure)

    for module in ("mailsrv.store.ready", "mailsrv.imapd.message_file"):
        monkeypatch.setattr(f"{module}.preview", broken)
    house.deliver(*(message(word, body=word) for word in ("more", "broken again")))
    client.do("NOOP")
    compute(house)
    for _ in range(3):
        told = client.do("FETCH 1:5 (PREVIEW)")[:-1]
        texts = ("good", "broken", "fine", "more", "")
        assert told == [f'* {number} FETCH (PREVIEW "{text}")' for number, text in enumerate(texts, 1)]
    assert b'"broken again"' in b"".join(envelope for (envelope,) in house.box().rows(None, ("envelope",)))
    (bug,) = house.log.named("bug")
    assert (bug["id"], "ZeroDivisionError" in bug["traceback"]) == ("alice", True)


# Blocks


def test_many_messages_come_in_blocks(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_blocks, "NARROW", 4)
    monkeypatch.setattr(fetch_blocks, "WIDE", 3)
    client = selected(house, *[message(f"number {number}") for number in range(1, 18)])
    for items in ("UID", "ENVELOPE", "BODY.PEEK[]", "BODY.PEEK[TEXT]", "BINARY.SIZE[1]"):
        lines = client.do(f"FETCH 1:* ({items})")
        assert numbered(lines) == list(range(1, 18))
        assert numbered(client.do(f"FETCH 2,4:6,9,12:17,3 ({items})")) == [2, 3, 4, 5, 6, 9, *range(12, 18)]


def test_memory_is_bounded(house: House) -> None:
    """What waits is sent before the rest is read."""
    client = selected(house, *[message(f"{number}", body="x" * 40_000) for number in range(20)])
    waited = []
    flush = client._flush

    def watch() -> None:
        waited.append(sum(len(piece) for piece in client.core._output if isinstance(piece, bytes)))
        flush()

    client.state._flush = watch
    lines = client.do("FETCH 1:* (BODY.PEEK[])")
    assert numbered(lines) == list(range(1, 21))
    assert len(waited) >= 5 and max(waited) < 300_000


def test_large_messages_are_sent_from_the_file(house: House) -> None:
    octets = message("large", body="y" * 300_000)
    client = selected(house, octets)
    body = octets.partition(b"\r\n\r\n")[2]
    told = b"* 1 FETCH (BODY[] {%d}\r\n%b BODY[TEXT] {%d}\r\n%b)\r\na OK" % (len(octets), octets, len(body), body)
    assert client.send(b"a FETCH 1 (BODY.PEEK[] BODY.PEEK[TEXT])\r\n").startswith(told)
    assert client.send(b"a FETCH 1 (BINARY.PEEK[1])\r\n").endswith(b"y\r\n)\r\na OK FETCH done\r\n")
    assert not open_messages(house)


# What can go wrong


def test_a_file_that_is_gone(house: House) -> None:
    client = selected(house, message("one"), message("two"))
    remove_files(house)
    lines = client.do("FETCH 1:2 (UID BODY.PEEK[] BINARY.SIZE[1])")
    assert lines[:2] == [f"* {n} FETCH (UID {n} BODY[] NIL BINARY.SIZE[1] 0)" for n in (1, 2)]
    assert lines[-1].startswith("NO [EXPUNGEISSUED]")
    assert not house.log.named("storage")


def test_a_file_that_is_gone_and_was_not_looked_into(house: House) -> None:
    client = selected(house, message("one"))
    remove_files(house)
    lines = client.do("UID FETCH 1 (RFC822.SIZE ENVELOPE BODYSTRUCTURE PREVIEW BODY.PEEK[HEADER.FIELDS (To)])")
    assert lines[0].startswith("* 1 FETCH (UID 1 RFC822.SIZE ")
    assert 'ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) BODYSTRUCTURE ("TEXT" "PLAIN" NIL' in lines[0]
    assert 'PREVIEW "" BODY[HEADER.FIELDS (To)] {2}' in lines[0]
    assert lines[-2:] == ["* 1 EXPUNGE", "OK FETCH done"]


@pytest.mark.parametrize("items", ["BODY.PEEK[]", "BODY.PEEK[TEXT]", "(BODY.PEEK[1] RFC822.HEADER)"])
def test_a_file_that_cannot_be_opened(house: House, items: str) -> None:
    client = selected(house, message("one"), message("two"))
    path = sorted((Path(house.path) / "accounts/alice/new").iterdir())[0]
    path.unlink()
    path.symlink_to(path)  # not followed: StorageError, for root too
    lines = client.do(f"UID FETCH 1:2 {items}")
    assert lines[0].count(" NIL") == items.count("BODY.PEEK[]") + items.count("TEXT") + 2 * items.count("(")
    assert lines[1].startswith("* 2 FETCH (UID 2 ") and lines[-1].startswith("OK")
    assert len(house.log.named("storage")) == 1


@pytest.mark.parametrize(
    "items", ["BODY.PEEK[]", "BODY.PEEK[TEXT] BODY.PEEK[1]", "ENVELOPE", "BODY.PEEK[HEADER.FIELDS (X-Y)]"]
)
def test_a_file_that_cannot_be_read(house: House, items: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: OpenFile, offset: int, count: int) -> bytes:
        raise StorageError("the disk is at fault")

    client = selected(house, message("one"))
    monkeypatch.setattr(OpenFile, "read_at", fail)
    lines = client.do(f"FETCH 1 (UID {items})")
    assert "NIL" in lines[0] and lines[0].startswith("* 1 FETCH (UID 1 ") and lines[0].endswith(")")
    assert lines[-1] == "OK FETCH done"
    assert len(house.log.named("storage")) == 1
    assert not open_messages(house)


def test_it_tells_how_far_it_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_blocks, "NARROW", 2)
    client = selected(house, *[message(f"{number}") for number in range(5)])
    monkeypatch.setattr(house.clock, "monotonic", iter(range(0, 1000, 6)).__next__)
    lines = client.do("FETCH 1:* UID")
    assert [line for line in lines if "INPROGRESS" in line] == ['* OK [INPROGRESS ("t2" 4 5)] still at it']
    assert numbered(lines) == [1, 2, 3, 4, 5]


def test_a_command_that_costs_too_much(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_blocks, "MAX_SEARCHED", 100)
    client = selected(house, *[message(f"{number}", body="x" * 60) for number in range(5)])
    lines = client.do("FETCH 1:* (BINARY.SIZE[1])")
    assert numbered(lines) == [1]
    assert lines[-1].startswith("NO [LIMIT]")
    assert numbered(client.do("FETCH 1:* (BODY.PEEK[] ENVELOPE)")) == [1, 2, 3, 4, 5]


# Flags


def test_reading_again_changes_nothing(house: House) -> None:
    client = selected(house, message("one"), message("two"))
    client.do("FETCH 1:2 BODY[TEXT]")
    status = house.box().status()
    assert set(house.flags().values()) == {SEEN}
    assert "FLAGS" not in client.do("FETCH 1:2 BODY[TEXT]")[0]
    assert house.box().status() == status


def test_nothing_is_seen_in_a_mailbox_that_is_only_looked_at(house: House) -> None:
    client = selected(house, message("one"), examine=True)
    client.do("FETCH 1 (BODY[] RFC822 BINARY[1])")
    assert set(house.flags().values()) == {0}


def change_behind(client: Client, monkeypatch: pytest.MonkeyPatch, act: object, times: int = 1) -> None:
    """Have somebody else act after the next rows were read."""
    box = client.state.selected.box
    real = type(box).some_rows
    left = [times]

    def rows(self: object, uids: NumberSet, columns: tuple[str, ...], most: int) -> object:
        found = real(self, uids, columns, most)  # type: ignore[arg-type]
        if left[0]:
            left[0] -= 1
            act()  # type: ignore[operator]
        return found

    monkeypatch.setattr(type(box), "some_rows", rows)


def test_a_change_by_others_while_messages_become_seen(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = selected(house, message("one"), message("two"))
    other = house.box()
    change_behind(client, monkeypatch, lambda: other.store_flags(NumberSet([(1, 2)]), Operation.ADD, FLAGGED))
    lines = client.do("FETCH 1 BODY[TEXT]")
    assert lines[0].startswith("* 1 FETCH (FLAGS (\\Seen \\Flagged) BODY[TEXT]")
    # The other message's change is news, this one's was told.
    assert [line for line in lines if "FLAGS" in line][1:] == ["* 2 FETCH (UID 2 FLAGS (\\Flagged))"]
    assert len(client.do("NOOP")) == 1


def test_an_expunge_while_files_are_opened(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = selected(house, message("one"), message("two"))
    other = house.box()

    def expunge() -> None:
        other.store_flags(NumberSet([(1, 1)]), Operation.ADD, DELETED)
        other.expunge()
        house.reader().tidy()

    change_behind(client, monkeypatch, expunge)
    lines = client.do("FETCH 1:2 BODY.PEEK[TEXT]")
    assert lines[0] == "* 1 FETCH (BODY[TEXT] NIL)" and lines[1].startswith("* 2 FETCH (BODY[TEXT] {")
    assert lines[-1].startswith("NO [EXPUNGEISSUED]")


def test_flags_that_were_fetched_are_no_news(house: House) -> None:
    client = selected(house, message("one"), message("two"))
    house.box().store_flags(NumberSet([(1, 2)]), Operation.ADD, FLAGGED)
    client.state.selected.sync()
    lines = client.do("FETCH 1 FLAGS")
    assert lines[:-1] == ["* 1 FETCH (FLAGS (\\Flagged))", "* 2 FETCH (UID 2 FLAGS (\\Flagged))"]


def test_who_knows_modseqs_is_told_them_even_so(house: House) -> None:
    client = selected(house, message("one"), enabled="CONDSTORE")
    house.box().store_flags(NumberSet([(1, 1)]), Operation.ADD, FLAGGED)
    client.state.selected.sync()
    lines = client.do("FETCH 1 FLAGS")
    assert lines[0] == "* 1 FETCH (FLAGS (\\Flagged))" and "MODSEQ" in lines[1] and len(lines) == 3
    assert len(client.do("FETCH 1 (FLAGS MODSEQ)")) == 2


def test_new_keywords_are_named_before_they_are_seen(house: House) -> None:
    client = selected(house, message("one"))
    box = house.box()
    box.store_flags(NumberSet([(1, 1)]), Operation.ADD, box.keyword_bit("new", create=True))
    lines = client.do("FETCH 1 FLAGS")
    assert re.fullmatch(r"\* FLAGS \(.* new\)", lines[0])
    assert lines[2] == "* 1 FETCH (FLAGS (new))"


def test_large_envelopes_wait_in_small_portions(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    to = ",\r\n ".join(f"somebody-{number}@example.org" for number in range(500)).encode()
    client = selected(house, *[b"Subject: x\r\nTo: " + to + b"\r\n\r\nhi\r\n"] * 40)
    sizes = []
    put = fetch_blocks.Output.put
    monkeypatch.setattr(fetch_blocks.Output, "put", lambda self, octets: (sizes.append(len(octets)), put(self, octets)))
    for computed in (False, True):
        sizes.clear()
        assert numbered(client.do("FETCH 1:* (ENVELOPE)")) == list(range(1, 41))
        assert sum(sizes) > 2 * fetch_blocks.PORTION, computed
        assert max(sizes) < 2 * fetch_blocks.PORTION, computed
        compute(house)


@pytest.mark.parametrize("most", [1, 3000, 1 << 18])
def test_what_a_query_gives_is_bounded_and_nothing_is_left_out(
    house: House, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    client = selected(house, *[message(f"number {number}") for number in range(70)])
    compute(house)
    whole = client.do(f"FETCH 1:* {META}")
    some = client.do(f"FETCH 3:5,7:60,62 {META}")
    monkeypatch.setattr(fetch_blocks, "PORTION", most)
    assert client.do(f"FETCH 1:* {META}") == whole
    assert client.do(f"FETCH 3:5,7:60,62 {META}") == some
    seen = client.do(f"FETCH 1:* {META[:-1]} BODY[])")
    assert numbered(seen) == list(range(1, 71)) and all("\\Seen" in line for line in seen if " FETCH (" in line)
