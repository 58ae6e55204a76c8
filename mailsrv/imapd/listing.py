"""LIST and LSUB: names of mailboxes, with what the client asks about each (RFC 9051 section 6.3.9, RFC 5258, RFC 5819,
RFC 6154, RFC 3501 section 6.3.9).

A name that is only subscribed, or that has mailboxes below and is none itself, does not exist: it is told where the
options ask for such names.

Diagnostics: StorageError; a mailbox that goes while its status is asked is passed over.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from mailsrv.imap import responses
from mailsrv.imap.answers import Answer, ok
from mailsrv.imap.events import Command
from mailsrv.imap.list_arguments import List, Lsub, Selection
from mailsrv.store.layout import parents
from mailsrv.store.refusals import MailboxGone, NoMailbox
from mailsrv.store.values import MailboxInfo
from mailsrv.imapd.access import make_my_rights
from mailsrv.imapd.metadata import make_metadata
from mailsrv.imapd.patterns import make_matcher
from mailsrv.imapd.state import State
from mailsrv.imapd.status import make_status

_DONE = ok("that is all")


@dataclass(frozen=True, slots=True)
class _Tree:
    """All names by name, with those that are above others; `above_selected` has mailboxes below that are selected."""

    infos: dict[str, MailboxInfo]
    above: frozenset[str]
    above_selected: frozenset[str]


def list_mailboxes(state: State, command: Command) -> Answer:
    """LIST."""
    arguments = command.arguments
    assert isinstance(arguments, List)
    if arguments.patterns == ("",) and not arguments.extended:
        state.send(responses.delimiter())
        return _DONE
    matchers = [make_matcher(arguments.reference + pattern) for pattern in arguments.patterns if pattern]
    tree = _grow(state.mailboxes.mailboxes(), arguments.selection)
    for name, info in tree.infos.items():
        if any(matches(name) for matches in matchers) and (told := _describe(state, arguments, tree, info)):
            state.send(told)
            if info.exists:
                _send_more(state, arguments, name)
    return _DONE


def _grow(infos: list[MailboxInfo], selection: Selection) -> _Tree:
    known = {info.name: info for info in infos}
    above = {parent for info in infos if info.exists for parent in parents(info.name)}
    above_selected = {parent for info in infos if _is_selected(info, selection) for parent in parents(info.name)}
    for name in above | above_selected:
        if name not in known:
            known[name] = MailboxInfo(name, exists=False)
    ordered = {info.name: info for info in infos[:1]}  # INBOX, which comes first
    ordered |= {name: known[name] for name in sorted(known)}
    return _Tree(ordered, frozenset(above), frozenset(above_selected))


def _is_selected(info: MailboxInfo, selection: Selection) -> bool:
    if selection.subscribed and not info.subscribed:
        return False
    return bool(info.special_use) if selection.special_use else selection.subscribed or info.exists


def _describe(state: State, arguments: List, tree: _Tree, info: MailboxInfo) -> bytes:
    """The response for one name; nothing where it is not to be told."""
    selection = arguments.selection
    selected = _is_selected(info, selection)
    child_selected = selection.recursive_match and info.name in tree.above_selected
    if not selected and not child_selected:
        # Without options that select, a name is told that only has mailboxes below it: the tree would have a gap.
        plain = not (selection.subscribed or selection.special_use or selection.recursive_match)
        if not (plain and info.name in tree.above):
            return b""
    extended = []
    if child_selected:
        kinds = {"SUBSCRIBED": selection.subscribed, "SPECIAL-USE": selection.special_use}
        extended.append(responses.child_info(word for word, on in kinds.items() if on))
    return responses.listed(_attributes(state, arguments, tree, info), info.name, state.core.utf8, extended)


def _attributes(state: State, arguments: List, tree: _Tree, info: MailboxInfo) -> Iterator[str]:
    if not info.exists:
        # IMAP4rev1 knows only the second word; the first one means both (RFC 9051 section 7.3.1).
        yield "\\NonExistent" if arguments.extended or state.rev2 else "\\Noselect"
    yield "\\HasChildren" if info.name in tree.above else "\\HasNoChildren"
    if info.subscribed and (arguments.selection.subscribed or arguments.returns.subscribed):
        yield "\\Subscribed"
    if info.special_use:
        yield info.special_use


def _send_more(state: State, arguments: List, name: str) -> None:
    """What else is told of a mailbox, behind its name; nothing of it where the account may not know it."""
    returns = arguments.returns
    if returns.status:
        with suppress(NoMailbox, MailboxGone):  # deleted between the two
            state.send(make_status(state, name, returns.status))
    if returns.my_rights:
        with suppress(NoMailbox):
            state.send(make_my_rights(state, name))
    if returns.metadata:
        with suppress(NoMailbox):
            state.send(make_metadata(state, name, returns.metadata))


def list_subscribed(state: State, command: Command) -> Answer:
    """LSUB. With `%`, a name above a subscribed one is told as \\Noselect (RFC 3501 section 6.3.9)."""
    arguments = command.arguments
    assert isinstance(arguments, Lsub)
    if not arguments.pattern:
        state.send(responses.delimiter(b"LSUB"))
        return _DONE
    matches = make_matcher(arguments.reference + arguments.pattern)
    subscribed = {info.name: info for info in state.mailboxes.mailboxes() if info.subscribed}
    names = {name: name in subscribed for name in subscribed if matches(name)}
    if arguments.pattern.endswith("%"):
        above = {parent for name in subscribed for parent in parents(name)}
        names |= {name: False for name in above if name not in subscribed and matches(name)}
    for name in sorted(names):
        attributes = () if names[name] else ("\\Noselect",)
        state.send(responses.listed(attributes, name, state.core.utf8, word=b"LSUB"))
    return _DONE
