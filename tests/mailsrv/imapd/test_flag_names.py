"""Names of flags: words as octets, names as words, and keywords that others make."""

from mailsrv.imapd.flag_names import FlagNames
from mailsrv.store.values import EVERY_FLAG, KEYWORDS


class Box:
    settable = EVERY_FLAG

    def __init__(self) -> None:
        self.names: list[str] = []

    def keywords(self):
        return [(256 << place, name) for place, name in enumerate(self.names)]

    def keyword_word(self, names, create=False):
        return sum(self.keyword_bit(name, create) for name in names)

    def keyword_bit(self, name, create=False):
        lower = [one.lower() for one in self.names]
        if name.lower() in lower:
            return 256 << lower.index(name.lower())
        if not create:
            return 0
        self.names.append(name)
        return 256 << (len(self.names) - 1)


def test_words_and_names() -> None:
    box = Box()
    names = FlagNames(box)
    assert names.text(0) == b""
    assert names.text(1 | 8) == b"\\Seen \\Deleted"
    assert names.word_of(["\\seen", "\\DRAFT", "unknown"]) == 1 | 16
    assert names.word_of(["Work"], create=True) == 256
    assert names.word_of(["WORK", "\\Seen"]) == 257


def test_keywords_of_others_are_read_when_they_are_seen() -> None:
    box = Box()
    names = FlagNames(box)
    assert not names.changed
    box.names.append("$Junk")
    assert names.text(257) == b"\\Seen $Junk"
    assert names.changed
    assert names.all().endswith(b"$Junk")


def test_permanent_flags() -> None:
    box = Box()
    assert FlagNames(box).permanent(False).endswith(b"\\Draft \\*")
    assert FlagNames(box).permanent(True) == b""
    box.names = [f"k{number}" for number in range(KEYWORDS)]
    assert not FlagNames(box).permanent(False).endswith(b"\\*")


def test_few_texts_are_remembered() -> None:
    names = FlagNames(Box())
    names._texts = dict.fromkeys(range(-5000, 0), b"")
    names.text(1)
    assert len(names._texts) == 1
