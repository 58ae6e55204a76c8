"""Names of flags: words as octets, names as what the store is told, and keywords that others make and forget."""

import pytest

from mailsrv.imap.numbers import NumberSet
from mailsrv.imapd.flag_names import FlagNames, flags_of
from mailsrv.store.keywords import Table, forget_unused
from mailsrv.store.values import EVERY_FLAG, KEYWORDS, NamedFlags, Operation

from tests.fakes.imap_client import House, message


class Box:
    settable = EVERY_FLAG

    def __init__(self, *names):
        self.names = dict(enumerate(names))
        self.forgotten = 0
        self.reads = 0

    def keyword_table(self):
        self.reads += 1
        return Table(self.forgotten, [(256 << place, name) for place, name in sorted(self.names.items())])

    def forget_keywords(self):
        del self.names[3]
        self.forgotten += 1
        return True


def test_words_and_names():
    names = FlagNames(Box("Work"))
    assert names.text(0) == b""
    assert names.text(1 | 8) == b"\\Seen \\Deleted"
    assert names.text(257) == b"\\Seen Work"
    assert flags_of(["\\seen", "\\DRAFT"]) == 1 | 16
    assert flags_of([]) == 0
    assert flags_of(["Work", "\\Seen", "other"]) == NamedFlags(1, ("Work", "other"))


def test_keywords_of_others_are_read_when_they_are_seen():
    box = Box()
    names = FlagNames(box)
    box.names[0] = "$Junk"
    assert names.hold([]) and names.hold([1, 31]) and box.reads == 1
    assert not names.changed
    assert names.hold([1, 257])
    assert names.text(257) == b"\\Seen $Junk"
    assert names.changed
    assert names.all().endswith(b"$Junk")


def test_words_that_may_mean_something_else_are_read_again():
    box = Box("Work", "Home")
    names = FlagNames(box)
    assert names.text(256) == b"Work"
    box.names, box.forgotten = {0: "Other", 1: "Home"}, 1
    assert not names.hold([256])
    assert names.hold([256]) and names.changed
    assert names.text(256) == b"Other"


def test_permanent_flags():
    box = Box()
    assert FlagNames(box).permanent(False).endswith(b"\\Draft \\*")
    assert FlagNames(box).permanent(True) == b""
    names = FlagNames(Box(*[f"k{number}" for number in range(KEYWORDS)]))
    assert not names.permanent(False).endswith(b"\\*")
    names.make_room()
    assert b" k3 " not in names.permanent(False) and names.permanent(False).endswith(b"\\*")
    names.make_room()  # there is room


def test_few_texts_are_remembered():
    names = FlagNames(Box())
    names._texts = dict.fromkeys(range(-5000, 0), b"")
    names.text(1)
    assert len(names._texts) == 1


@pytest.mark.parametrize("command", ["FETCH 1:2 (FLAGS)", "STORE 1:2 +FLAGS (\\Seen)", "NOOP"])
def test_bits_that_change_hands_while_they_are_told(tmp_path, monkeypatch, command):
    """Between the rows and the names, another process forgets `a` and gives its bit to `b`."""
    house = House(tmp_path)
    house.deliver(message("1"), message("2"))
    client = house.client(selected="INBOX")
    other = House(tmp_path, clock=house.clock).box()
    other.store_flags(NumberSet([(1, 1)]), Operation.ADD, NamedFlags(0, ("a",)))
    client.do("NOOP")
    other.store_flags(NumberSet([(1, 1)]), Operation.ADD, NamedFlags(4))
    hold = FlagNames.hold
    races = []

    def late(names, words):
        words = list(words)
        if max(words, default=0) > 255 and not races:
            races.append(words)
            other.store_flags(NumberSet([(1, 1)]), Operation.REMOVE, NamedFlags(0, ("a",)))
            assert forget_unused(other._index, other._key, 0)
            other.store_flags(NumberSet([(2, 2)]), Operation.ADD, NamedFlags(0, ("b",)))
            assert other.keywords() == [(256, "b")]
        return hold(names, words)

    monkeypatch.setattr(FlagNames, "hold", late)
    lines = client.do(command)
    assert races and lines[-1].startswith("OK")
    told = [line for line in lines if " FETCH " in line]
    assert any(line.startswith("* FLAGS") and line.endswith(" b)") for line in lines)
    first = [line for line in told if line.startswith("* 1 ")][-1]
    second = [line for line in told if line.startswith("* 2 ")][-1]
    seen = "\\Seen " if command.startswith("STORE") else ""
    assert f"FLAGS ({seen}\\Flagged)" in first and f"FLAGS ({seen}b)" in second
    assert not any(" a" in line.rpartition("FLAGS (")[2] for line in told)
