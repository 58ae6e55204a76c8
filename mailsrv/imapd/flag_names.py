"""The names of flags in one mailbox: flag words as the octets of a FLAGS list, and names as flag words.

A mailbox's keywords are read once and again when a flag word has a bit that has no name yet (another session made it).
Nothing is sent here.

Diagnostics: `word_of` raises TooMany (mailsrv.store.refusals) when the mailbox can take no more keywords; MailboxGone
and StorageError come from the store.
"""

from collections.abc import Iterable

from mailsrv.store.opened import OpenMailbox
from mailsrv.store.values import FIRST_KEYWORD, KEYWORDS, SYSTEM, SYSTEM_FLAGS

_BY_LOWER = {name.lower(): mask for name, mask in SYSTEM_FLAGS.items()}
# In the order in which RFC 9051's own examples name them.
_SYSTEM_TEXTS = tuple((mask, name.encode()) for name, mask in SYSTEM_FLAGS.items())
_MOST_TEXTS = 4096  # flag words that are remembered as octets


class FlagNames:
    """The names of one open mailbox. `changed`: there are keywords that the client has not been told."""

    __slots__ = ("_box", "_keywords", "_known", "_texts", "changed")

    def __init__(self, box: OpenMailbox) -> None:
        self._box = box
        self._texts: dict[int, bytes] = {}
        self._keywords: list[tuple[int, bytes]] = []
        self._known = SYSTEM
        self._read()
        self.changed = False

    def _read(self) -> None:
        keywords = [(mask, name.encode()) for mask, name in self._box.keywords()]
        if keywords != self._keywords:
            self._keywords = keywords
            self._texts.clear()
            self.changed = True
        self._known = SYSTEM
        for mask, _ in keywords:
            self._known |= mask

    def text(self, word: int) -> bytes:
        """What stands between the parentheses of FLAGS (...) for a flag word."""
        text = self._texts.get(word)
        if text is None:
            if word & ~self._known:
                self._read()
            if len(self._texts) >= _MOST_TEXTS:
                self._texts.clear()
            text = b" ".join([name for mask, name in (*_SYSTEM_TEXTS, *self._keywords) if word & mask])
            self._texts[word] = text
        return text

    def knows(self, word: int) -> bool:
        """Whether every bit has a name that was read; else they are read now."""
        if word & ~self._known:
            self._read()
        return not self.changed

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

    def word_of(self, names: Iterable[str], create: bool = False) -> int:
        """The flag word of flags by their names, in any letters. Keywords that the mailbox does not know count for
        nothing, or are made with `create`, all or none (raises TooMany)."""
        word = 0
        keywords = []
        for name in names:
            mask = _BY_LOWER.get(name.lower())
            if mask is None:
                keywords.append(name)
            else:
                word |= mask
        return word | self._box.keyword_word(keywords, create) if keywords else word
