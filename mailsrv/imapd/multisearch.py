"""ESEARCH: one search in several mailboxes, which need not be selected (RFC 7377).

Each mailbox in which something is found gets a response of its own, with UIDs; the others get none. A mailbox that is
not there, may not be read, or goes meanwhile, is passed over. All of them together cost no more than one search may.

Diagnostics: Refusal (BAD) where the selected mailbox is meant and there is none; SearchLimit (LIMIT); StorageError.
"""

from collections.abc import Callable, Iterable

from mailsrv.imap import responses
from mailsrv.imap.answers import Refusal, Status, bad, ok
from mailsrv.imap.events import Command
from mailsrv.imap.mailbox_filters import FilterKind, MailboxFilter
from mailsrv.imap.numbers import EMPTY, NumberSet
from mailsrv.imap.search_arguments import Esearch, Returns
from mailsrv.imap.search_keys import Among
from mailsrv.store.layout import is_of_others
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.refusals import MailboxGone, NoMailbox, NoPermission
from mailsrv.store.values import INBOX, MailboxInfo
from mailsrv.imapd.progress import ToldBudget
from mailsrv.imapd.results import choose, is_told, make_pieces
from mailsrv.imapd.search import find, has_modseq, saving, searcher_of, uids_at
from mailsrv.imapd.state import State

_ALL = Returns(all=True)

_SELECTED = (MailboxFilter(FilterKind.SELECTED),)


def esearch(state: State, command: Command) -> Status:
    """Search in the mailboxes that are meant."""
    arguments = command.arguments
    assert isinstance(arguments, Esearch)
    sources = arguments.sources or _SELECTED
    returns = arguments.returns or _ALL
    selected = any(source.kind is FilterKind.SELECTED for source in sources)
    if selected and state.view is None:
        raise Refusal(bad("select a mailbox first"))
    if returns.save and (not selected or len(sources) > 1):
        raise Refusal(bad("SAVE is for the selected mailbox alone"))
    if has_modseq(arguments.key):
        state.use_modseqs()
    budget = ToldBudget(state, command.tag)
    if selected:
        with saving(state, arguments):
            _search_selected(state, command.tag, arguments, budget)
    for name in _find_names(state, sources):
        if not (selected and name == state.selected.box.name):
            _search_other(state, command.tag, arguments, name, budget)
    return ok("searched")


def _search_selected(state: State, tag: str, arguments: Esearch, budget: ToldBudget) -> None:
    view = state.selected
    searcher = searcher_of(view.box, budget)
    found = find(view, searcher, arguments.key)
    returns = arguments.returns or _ALL
    if returns.save:
        view.saved = NumberSet.of_sorted(choose(returns, found))
    _tell(state, tag, arguments, view.box, found, searcher.highest_modseq)


def _search_other(state: State, tag: str, arguments: Esearch, name: str, budget: ToldBudget) -> None:
    try:
        box = state.mailboxes.open(name)
        searcher = searcher_of(box, budget)
        found = searcher.search(arguments.key, lambda among: _uids_of(box, among))
        _tell(state, tag, arguments, box, found, searcher.highest_modseq)
    except (NoMailbox, NoPermission, MailboxGone):
        return


def _uids_of(box: OpenMailbox, among: Among) -> NumberSet:
    """What a set of numbers means in a mailbox that is not selected; `$` is about another one."""
    if among.numbers.saved:
        return EMPTY
    uids = box.view()[0]
    if not among.uid:
        return uids_at(uids, among)
    return among.numbers.resolve(uids[-1]) if uids else EMPTY


Modseqs = Callable[[list[int]], int]


def _tell(
    state: State, tag: str, arguments: Esearch, box: OpenMailbox, found: Iterable[int], highest: Modseqs
) -> None:
    returns = arguments.returns or _ALL
    uids = list(found)
    if not uids or not is_told(returns):
        return
    modseq = highest(sorted(choose(returns, uids))) if has_modseq(arguments.key) else None
    pieces = make_pieces(returns, uids, True, modseq)
    state.send(responses.esearched(tag, pieces, True, (box.name, box.uidvalidity, state.core.utf8)))


# Which mailboxes are meant


def _find_names(state: State, sources: Iterable[MailboxFilter]) -> list[str]:
    """The names of mailboxes, each once, the selected one left out."""
    mailboxes = [info for info in state.mailboxes.mailboxes() if info.exists]
    names: dict[str, None] = {}
    for source in sources:
        names.update(dict.fromkeys(_CHOICES[source.kind](mailboxes, source.mailboxes)))
    return list(names)


def _choose_subtree(mailboxes: Iterable[MailboxInfo], tops: Iterable[str]) -> list[str]:
    tops = tuple(tops)
    return [info.name for info in mailboxes if any(info.name == top or info.name.startswith(top + "/") for top in tops)]


def _choose_children(mailboxes: Iterable[MailboxInfo], tops: Iterable[str]) -> list[str]:
    wanted = set(tops)
    return [info.name for info in mailboxes if info.name in wanted or info.name.rpartition("/")[0] in wanted]


_CHOICES: dict[FilterKind, Callable[[Iterable[MailboxInfo], Iterable[str]], Iterable[str]]] = {
    FilterKind.SELECTED: lambda mailboxes, _: (),
    FilterKind.INBOXES: lambda mailboxes, _: (INBOX,),
    FilterKind.PERSONAL: lambda mailboxes, _: [info.name for info in mailboxes if not is_of_others(info.name)],
    FilterKind.SUBSCRIBED: lambda mailboxes, _: [info.name for info in mailboxes if info.subscribed],
    FilterKind.SUBTREE: _choose_subtree,
    FilterKind.SUBTREE_ONE: _choose_children,
    FilterKind.MAILBOXES: lambda _, names: names,
}
