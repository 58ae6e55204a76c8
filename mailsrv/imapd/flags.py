"""STORE and UID STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3, RFC 2180 section 4.2).

The change is one statement of the store, and what the client is told of it one query, whatever the number of messages.
Changes of others are never taken for the answer: they are collected before, and told as news. Nothing is expunged here.

Diagnostics: Refusal for flags that do not exist and, with BAD, for numbers that the client cannot know; TooMany for
more keywords than a mailbox can have; MailboxGone and StorageError come from the store.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from mailsrv.imap.answers import Refusal, Status, no, ok
from mailsrv.imap.events import Command
from mailsrv.imap.extended_responses import modified
from mailsrv.imap.message_arguments import Change, Store
from mailsrv.imap.numbers import EMPTY, NumberSet
from mailsrv.store.values import EVERY_FLAG, SYSTEM_FLAGS, NamedFlags, Operation, Stored, is_any, limit
from mailsrv.imapd.flag_names import flags_of
from mailsrv.imapd.news import make_flag_lines
from mailsrv.imapd.state import State
from mailsrv.imapd.view import View

_OPERATIONS = {
    Change.REPLACE: Operation.REPLACE,
    Change.ADD: Operation.ADD,
    Change.REMOVE: Operation.REMOVE,
}
_BATCH = 2000  # responses that are made before they are sent

GONE = "some of the messages do not exist any more"

Row = tuple[int, int, int]  # UID, flag word, modseq


def store(state: State, command: Command) -> Status:
    """Change flags, and tell the client what they are now: the modseqs only, or nothing, where it asked for silence."""
    arguments = command.arguments
    assert isinstance(arguments, Store)
    view = state.selected
    if arguments.unchanged_since is not None:
        state.use_modseqs()
    uids = view.uids_of(arguments.numbers, arguments.uid)
    view.sync()
    known = view.modseq
    missing = EMPTY if arguments.uid else uids & view.gone
    flags = _read_flags(state, arguments)
    stored = view.box.store_flags(uids, _OPERATIONS[arguments.change], flags, arguments.unchanged_since)
    if not isinstance(flags, int):
        view.flags.read()
        if view.flags.changed:
            state.send(make_flag_lines(view))
    told = uids - stored.failed if stored.failed else uids
    modseqs = bool(state.core.enabled & {"CONDSTORE", "QRESYNC"})
    # Where not all flags may be changed, silence would leave the client in the belief that they were.
    silent = arguments.silent and view.box.settable == EVERY_FLAG
    if not silent:
        # What is told now is newer than all that waits to be told.
        view.forget_changes(told)
    if modseqs or not silent:
        _tell(state, told, flags=not silent, modseqs=modseqs)
    _pass_over(view, stored, known, silent)
    return _answer(state, arguments, stored.failed, missing)


def _pass_over(view: View, stored: Stored, known: int, silent: bool) -> None:
    """What this command changed is no news; what others changed since the modseq `known` is."""
    if not stored.changed:
        return
    alone = stored.before == known
    if alone and not view.changed:
        # Nothing but this command lies between the two modseqs: nothing is to be asked for.
        view.modseq = stored.modseq
        return
    # Messages with the modseq of this command were changed by it; but when others were faster, they may have changed
    # the same messages, of which a silent client would never hear.
    view.sync(stored.modseq if alone or not silent else 0)


def check_system_flags(names: Iterable[str]) -> None:
    """Refuse system flags that do not exist."""
    for name in names:
        if name.startswith("\\") and name not in SYSTEM_FLAGS:
            raise Refusal(no(f"there is no flag {name}", "CANNOT"))


def _read_flags(state: State, arguments: Store) -> int | NamedFlags:
    """The flags that are named, where any of them may be changed."""
    check_system_flags(arguments.flags)
    flags = flags_of(arguments.flags)
    settable = state.selected.box.settable
    if settable != EVERY_FLAG and not is_any(limit(flags, settable)) and (arguments.flags or not settable):
        raise Refusal(no("the owner of this mailbox allows none of these flags", "NOPERM"))
    return flags


def _answer(state: State, arguments: Store, failed: NumberSet, missing: NumberSet) -> Status:
    view = state.selected
    code = ""
    if failed:
        code = modified(failed if arguments.uid else view.numbers_of(failed))
    if missing and not arguments.silent:
        return no(GONE, code or "EXPUNGEISSUED")
    return ok("stored, but not where others were faster" if failed else "stored", code)


# What is told


def _tell(state: State, uids: NumberSet, flags: bool, modseqs: bool) -> None:
    """Send flags or modseqs, or both, of messages as they are now."""
    view = state.selected
    rows: Iterator[Row] = iter(view.box.rows(uids, ("uid", "flags", "modseq")))
    while batch := list(islice(rows, _BATCH)):
        while not view.flags.hold([word for _, word, _ in batch]):
            again = NumberSet.of_sorted([uid for uid, _, _ in batch])
            batch = list(view.box.rows(again, ("uid", "flags", "modseq")))
        lines = b"".join(_lines(view, batch, (flags, modseqs), "UIDONLY" in state.core.enabled))
        if view.flags.changed:
            state.send(make_flag_lines(view))
        state.send(lines)


def _lines(view: View, rows: Sequence[Row], told: tuple[bool, bool], uid_only: bool) -> list[bytes]:
    """One response a message; `told`: flags, modseqs."""
    # Thousands of messages have few different flag words.
    text = {word: view.flags.text(word) for word in {row[1] for row in rows}}
    if uid_only:
        match told:
            case True, True:
                form = b"* %d UIDFETCH (FLAGS (%b) MODSEQ (%d))\r\n"
                return [form % (uid, text[word], modseq) for uid, word, modseq in rows]
            case True, False:
                return [b"* %d UIDFETCH (FLAGS (%b))\r\n" % (uid, text[word]) for uid, word, _ in rows]
        return [b"* %d UIDFETCH (MODSEQ (%d))\r\n" % (uid, modseq) for uid, _, modseq in rows]
    numbered = _number(view, rows)
    match told:
        case True, True:
            form = b"* %d FETCH (UID %d FLAGS (%b) MODSEQ (%d))\r\n"
            return [form % (number, uid, text[word], modseq) for number, (uid, word, modseq) in numbered]
        case True, False:
            form = b"* %d FETCH (UID %d FLAGS (%b))\r\n"
            return [form % (number, uid, text[word]) for number, (uid, word, _) in numbered]
    return [b"* %d FETCH (UID %d MODSEQ (%d))\r\n" % (number, uid, at) for number, (uid, _, at) in numbered]


def _number(view: View, rows: Sequence[Row]) -> Iterable[tuple[int, Row]]:
    """Rows by ascending UID with their numbers. The client knows all of them, for none has a UID above its largest."""
    uids = view.uids
    if not rows:
        return []
    start = bisect_left(uids, rows[0][0])
    if start + len(rows) <= len(uids) and uids[start + len(rows) - 1] == rows[-1][0]:
        return enumerate(rows, start + 1)  # neighbours
    return [(view.number_of(row[0]), row) for row in rows]
