"""Keywords of a mailbox: each has a bit of the flag words while the mailbox knows it (RFC 9051 section 2.3.2).

A keyword that no message has may be forgotten: its bit is free then, and may become another keyword's. So a flag word
means something together with the table of its time only, and `mailbox.forgotten` counts the times. Whoever sets flags
names them (NamedFlags), and they become bits in the transaction that sets them. Whoever reads flag words asks for the
table behind the rows: it is theirs where the count is the same as it was before.

Diagnostics: TooMany when a mailbox has as many keywords as there are bits, and messages with each; MailboxGone,
StorageError.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mailsrv.store.index import Index, Key, Writing
from mailsrv.store.refusals import MailboxGone, TooMany
from mailsrv.store.values import FIRST_KEYWORD, KEYWORDS, LAST_KEYWORD, NamedFlags

# Beyond so many the background forgets those that no message has. Fewer are left alone: programs like to find the
# keywords that they have named before.
PLENTY = KEYWORDS // 2

_SYSTEM = (1 << FIRST_KEYWORD) - 1
_USED = f"SELECT DISTINCT flags FROM message WHERE mailbox = ? AND flags > {_SYSTEM}"


class Table(NamedTuple):
    """The keywords of a mailbox as (flag word with the one bit, name), by ascending bit, and how often bits had become
    free when they were read."""

    forgotten: int
    keywords: list[tuple[int, str]]


def table(index: Index, key: Key) -> Table:
    """What the mailbox knows now, of one moment."""
    rows = index.read(
        "SELECT m.forgotten, k.bit, k.name FROM mailbox AS m LEFT JOIN keyword AS k ON k.mailbox = m.id"
        " WHERE m.id = ? AND m.uidvalidity = ? ORDER BY k.bit",
        key,
    )
    if not rows:
        raise MailboxGone("the mailbox was deleted, or its UIDs are no longer valid")
    return Table(rows[0][0], [(1 << bit, name) for _, bit, name in rows if bit is not None])


def keyword_word(index: Index, key: Key, names: Sequence[str], create: bool) -> int:
    """The flag word of keywords, whatever their letters' case. One that is not known counts for nothing, or is made
    with `create`: all of them or none, so that what is refused leaves no keyword behind."""
    known = {name.lower(): mask for mask, name in table(index, key).keywords}
    masks = [known.get(name.lower(), 0) for name in names]
    if create and not all(masks):
        with index.write() as writing:
            writing.mailbox(key)
            masks = add_keywords(writing, key.id, list(names))
    return _union(masks)


def flag_word(writing: Writing, mailbox: int, flags: int | NamedFlags, create: bool) -> int:
    """The flag word of flags in the transaction that uses it. Keywords that the mailbox does not know are made with
    `create` (raises TooMany), and count for nothing without."""
    if isinstance(flags, int):
        return flags
    return flag_words(writing, mailbox, [flags], create)[0]


def flag_words(writing: Writing, mailbox: int, several: Sequence[int | NamedFlags], create: bool = True) -> list[int]:
    """The same of several at once. A transaction asks once, for all that it is going to set: what is named here stays,
    and keywords that no message has yet may go."""
    names = {name: None for flags in several if not isinstance(flags, int) for name in flags.keywords}
    if names and create:
        add_keywords(writing, mailbox, list(names))
    known = _read(writing, mailbox) if names else {}
    words = []
    for flags in several:
        if isinstance(flags, int):
            words.append(flags)
            continue
        word = flags.system | _union(1 << known[name.lower()] for name in flags.keywords if name.lower() in known)
        words.append(flags.besides & ~word if flags.besides else word)
    return words


def add_keywords(writing: Writing, mailbox: int, names: list[str]) -> list[int]:
    """The flag words of keywords, in their order; those that the mailbox does not know get a bit. Raises TooMany."""
    known = _read(writing, mailbox)
    wanted: dict[str, str] = {}
    for name in names:
        wanted.setdefault(name.lower(), name)
    missing = [name for lower, name in wanted.items() if lower not in known]
    if len(known) + len(missing) > KEYWORDS:
        used = _used(writing.execute(_USED, (mailbox,)).fetchall())
        _drop(writing, mailbox, [bit for name, bit in known.items() if not used >> bit & 1 and name not in wanted])
        known = _read(writing, mailbox)
        if len(known) + len(missing) > KEYWORDS:
            raise TooMany(f"a mailbox has at most {KEYWORDS} keywords")
    free = sorted(set(range(FIRST_KEYWORD, LAST_KEYWORD + 1)) - set(known.values()))
    for bit, name in zip(free, missing, strict=False):
        writing.execute("INSERT INTO keyword VALUES (?, ?, ?)", (mailbox, bit, name))
        known[name.lower()] = bit
    return [1 << known[name.lower()] for name in names]


def translate(writing: Writing, source: int, target: int, words: set[int]) -> dict[int, int]:
    """Flag words of one mailbox as those of another, which learns the keywords that occur. Raises TooMany."""
    occurring = _union(words)
    if source == target or not occurring & ~_SYSTEM:
        return {word: word for word in words}
    rows = writing.execute("SELECT bit, name FROM keyword WHERE mailbox = ? ORDER BY bit", (source,)).fetchall()
    rows = [(bit, name) for bit, name in rows if occurring >> bit & 1]
    masks = add_keywords(writing, target, [name for _, name in rows])
    pairs = [(1 << bit, mask) for (bit, _), mask in zip(rows, masks, strict=True)]
    return {word: word & _SYSTEM | sum(mask for bit, mask in pairs if word & bit) for word in words}


def forget_unused(index: Index, key: Key, beyond: int = PLENTY) -> bool:
    """Forget the keywords that no message has, where there are more than `beyond`; True when some were.

    The messages are looked at before the transaction: it begins only where there is something to forget, and does
    nothing when a message has changed meanwhile."""
    row = index.mailbox(key)
    known = table(index, key).keywords
    if len(known) <= beyond:
        return False
    used = _used(index.read(_USED, (key.id,)))
    unused = [mask.bit_length() - 1 for mask, _ in known if not used & mask]
    if not unused:
        return False
    with index.write() as writing:
        if writing.mailbox(key).highestmodseq != row.highestmodseq:
            return False
        _drop(writing, key.id, unused)
    return True


def _read(writing: Writing, mailbox: int) -> dict[str, int]:
    """Bits by names in small letters."""
    rows = writing.execute("SELECT bit, name FROM keyword WHERE mailbox = ?", (mailbox,)).fetchall()
    return {name.lower(): bit for bit, name in rows}


def _drop(writing: Writing, mailbox: int, bits: list[int]) -> None:
    if bits:
        writing.connection.executemany(
            "DELETE FROM keyword WHERE mailbox = ? AND bit = ?", [(mailbox, bit) for bit in bits]
        )
        writing.execute("UPDATE mailbox SET forgotten = forgotten + 1 WHERE id = ?", (mailbox,))


def _used(rows: Sequence[tuple[int, ...]]) -> int:
    return _union(word for (word,) in rows)


def _union(words: Iterable[int]) -> int:
    union = 0
    for word in words:
        union |= word
    return union
