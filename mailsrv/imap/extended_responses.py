"""Untagged responses of extensions as octets: rights, quotas, metadata, ID, threads (RFC 4314, RFC 9208, RFC 5464, RFC
2971, RFC 5256), and the response codes that have arguments.

Diagnostics: raises nothing for values of the types named.
"""

from collections.abc import Iterable, Sequence

from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.responses import astring, binary, mailbox, string

# A message of a thread and what hangs from it; None for a message that is not there (RFC 5256 section 4).
Node = tuple[int | None, "Sequence[Node]"]


def acl(name: str, entries: Iterable[tuple[str, str]], utf8: bool) -> bytes:
    """Who has which rights on a mailbox: (identifier, rights)."""
    told = [mailbox(name, utf8)]
    for identifier, rights in entries:
        told += [astring(identifier.encode()), astring(rights.encode())]
    return b"* ACL %b\r\n" % b" ".join(told)


def my_rights(name: str, rights: str, utf8: bool) -> bytes:
    """What the account may do with a mailbox."""
    return b"* MYRIGHTS %b %b\r\n" % (mailbox(name, utf8), astring(rights.encode()))


def list_rights(name: str, identifier: str, rights: Iterable[str], utf8: bool) -> bytes:
    """What may be granted: first the rights that always are, then groups that go together."""
    told = [mailbox(name, utf8), astring(identifier.encode()), *(astring(group.encode()) for group in rights)]
    return b"* LISTRIGHTS %b\r\n" % b" ".join(told)


def quota(root: str, resources: Iterable[tuple[str, int, int]]) -> bytes:
    """Usage and limit of a quota root: (resource, usage, limit), STORAGE in KiB."""
    told = b" ".join([b"%b %d %d" % (name.encode(), usage, limit) for name, usage, limit in resources])
    return b"* QUOTA %b (%b)\r\n" % (astring(root.encode()), told)


def quota_root(name: str, roots: Iterable[str], utf8: bool) -> bytes:
    """The quota roots of a mailbox."""
    return b"* QUOTAROOT %b\r\n" % b" ".join([mailbox(name, utf8), *(astring(root.encode()) for root in roots)])


def metadata(name: str, values: Iterable[tuple[str, bytes | None]], utf8: bool) -> bytes:
    """Entries and their values; the mailbox "" is the server."""
    told = [b"%b %b" % (astring(entry.encode()), b"NIL" if value is None else binary(value)) for entry, value in values]
    return b"* METADATA %b (%b)\r\n" % (mailbox(name, utf8), b" ".join(told))


def metadata_changed(name: str, entries: Iterable[str], utf8: bool) -> bytes:
    """Entries that changed, without their values."""
    return b"* METADATA %b\r\n" % b" ".join([mailbox(name, utf8), *(astring(entry.encode()) for entry in entries)])


def identity(fields: Iterable[tuple[str, str]]) -> bytes:
    """What the server says about itself; nothing is NIL."""
    told = [string(word.encode()) for pair in fields for word in pair]
    return b"* ID (%b)\r\n" % b" ".join(told) if told else b"* ID NIL\r\n"


def threaded(forest: Iterable[Node]) -> bytes:
    """The result of THREAD. Depth costs nothing: clients choose the References that make it."""
    told: list[bytes] = []
    stack: list[Node | bytes] = list(reversed(list(forest)))
    while stack:
        top = stack.pop()
        if isinstance(top, bytes):
            told.append(top)
            continue
        number, children = top
        told.append(b"(")
        members = [] if number is None else [b"%d" % number]
        while number is not None and len(children) == 1 and children[0][0] is not None:
            number, children = children[0]
            members.append(b"%d" % number if number is not None else b"")
        told.append(b" ".join(members))
        stack.append(b")")
        if children:
            if members:
                told.append(b" ")
            stack.extend(reversed(children))
    return b"* THREAD" + (b" " if told else b"") + b"".join(told) + b"\r\n"


# Response codes with arguments, for Status.code (those without stand in RFC 9051 section 7.1 and RFC 5530)


def permanent_flags(flags: Iterable[str]) -> str:
    """The flags that last; `\\*` among them lets new keywords in."""
    return f"PERMANENTFLAGS ({' '.join(flags)})"


def append_uid(uidvalidity: int, uids: NumberSet) -> str:
    """Which UIDs the appended messages have (RFC 4315 section 3)."""
    return f"APPENDUID {uidvalidity} {bytes(uids).decode()}"


def copy_uid(uidvalidity: int, pairs: Sequence[tuple[int, int]]) -> str:
    """Which UIDs the copies have: (old, new), both ascending (RFC 4315 section 3)."""
    old = NumberSet.of_sorted([pair[0] for pair in pairs])
    new = NumberSet.of_sorted([pair[1] for pair in pairs])
    return f"COPYUID {uidvalidity} {bytes(old).decode()} {bytes(new).decode()}"


def modified(failed: NumberSet) -> str:
    """Messages that were changed since UNCHANGEDSINCE (RFC 7162 section 3.1.3)."""
    return f"MODIFIED {bytes(failed).decode()}"


def in_progress(tag: str, done: int, total: int) -> str:
    """How far a long command is (RFC 9585)."""
    return f"INPROGRESS ({string(tag.encode()).decode()} {done} {total})"


def bad_event(known: Iterable[str]) -> str:
    """The events that NOTIFY knows (RFC 5465 section 5)."""
    return f"BADEVENT ({' '.join(known)})"
