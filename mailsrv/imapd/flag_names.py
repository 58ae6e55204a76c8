"""The names of flags in one mailbox: flag words as the octets of a FLAGS list, and names as flag words.

A mailbox's keywords are read once, and again when flag words with keywords are going to be told: bits may have got
names since, or other names (mailsrv.store.keywords). Nothing is sent here.

Diagnostics: MailboxGone and StorageError come from the store.
"""

from collections.abc import Iterable

from mailsrv.store.opened import OpenMailbox
from mailsrv.store.values import FIRST_KEYWORD, KEYWORDS, SYSTEM_FLAGS, NamedFlags

_BY_LOWER = {name.lower(): mask for name, mask in SYSTEM_FLAGS.items()}
# In the order in which RFC 9051's own examples name them.
_SYSTEM_TEXTS = tuple((mask, name.encode()) for name, mask in SYSTEM_FLAGS.items())
_FIRST = 1 << FIRST_KEYWORD
_MOST_TEXTS = 4096  # flag words that are remembered as octets


class FlagNames:
    """The names of one open mailbox. `changed`: there are keywords that the client has not been told."""

    __slots__ = ("_box", "_forgotten", "_keywords", "_texts", "changed")

    def __init__(self, box: OpenMailbox) -> None:
        self._box = box
        self._texts: dict[int, bytes] = {}
        self._keywords: list[tuple[int, bytes]] = []
        self._forgotten = 0
        self.read()
        self.changed = False

    def read(self) -> bool:
        """Read the names; False when bits have become free since the last time, so that those of flag words that were
        read before may be others'."""
        forgotten, found = self._box.keyword_table()
        keywords = [(mask, name.encode()) for mask, name in found]
        if keywords != self._keywords:
            self._keywords = keywords
            self._texts.clear()
            self.changed = True
        before, self._forgotten = self._forgotten, forgotten
        return before == forgotten

    def make_room(self) -> None:
        """Where the mailbox has as many keywords as it can have, let it forget those that no message has: only then
        clients are told that there may be more."""
        if len(self._keywords) >= KEYWORDS and self._box.forget_keywords():
            self.read()

    def hold(self, words: Iterable[int]) -> bool:
        """Know the names for flag words that were read just now, before they are told. False: they were read with
        other names, perhaps, and must be read again."""
        return max(words, default=0) < _FIRST or self.read()

    def text(self, word: int) -> bytes:
        """What stands between the parentheses of FLAGS (...) for a flag word; `hold` it before."""
        text = self._texts.get(word)
        if text is None:
            if len(self._texts) >= _MOST_TEXTS:
                self._texts.clear()
            text = b" ".join([name for mask, name in (*_SYSTEM_TEXTS, *self._keywords) if word & mask])
            self._texts[word] = text
        return text

    def all(self) -> bytes:
        """What stands between the parentheses of the FLAGS response."""
        return b" ".join([name for _, name in (*_SYSTEM_TEXTS, *self._keywords)])

    def permanent(self, read_only: bool) -> bytes:
        """What stands between the parentheses of PERMANENTFLAGS; those that may be changed (RFC 4314 section
        5.1.1), `\\*` where there is room for more keywords."""
        if read_only:
            return b""
        settable = self._box.settable
        names = [name for mask, name in (*_SYSTEM_TEXTS, *self._keywords) if mask & settable]
        if settable >> FIRST_KEYWORD and len(self._keywords) < KEYWORDS:
            names.append(b"\\*")
        return b" ".join(names)


def flags_of(names: Iterable[str]) -> int | NamedFlags:
    """Flags by their names, in any letters, for the store: a flag word where there are no keywords among them."""
    word = 0
    keywords = []
    for name in names:
        mask = _BY_LOWER.get(name.lower())
        if mask is None:
            keywords.append(name)
        else:
            word |= mask
    return NamedFlags(word, tuple(keywords)) if keywords else word
