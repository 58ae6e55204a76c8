"""Names of flags: words as octets, names as what the store is told, and keywords that others make and forget."""

from mailsrv.imapd.flag_names import FlagNames, flags_of
from mailsrv.store.keywords import Table
from mailsrv.store.values import EVERY_FLAG, KEYWORDS, NamedFlags


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
