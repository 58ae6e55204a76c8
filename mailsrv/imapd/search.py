"""SEARCH and UID SEARCH (RFC 9051 section 6.4.4, RFC 4731, RFC 5182, RFC 7162 section 3.1.5, RFC 9394, RFC 2180 section
4.3), and what SORT, THREAD and ESEARCH share with them.

A client is told of messages that it knows and that are there: neither of those that came since it was told how many
there are, nor of those that are gone.

Diagnostics: SearchLimit for what would cost too much (LIMIT); MailboxGone and StorageError come from the store.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mailsrv.errors import StorageError
from mailsrv.imap import responses
from mailsrv.imap.answers import Refusal, Status, Word, ok
from mailsrv.imap.events import Command
from mailsrv.imap.numbers import EMPTY, NumberSet
from mailsrv.imap.search_arguments import Esearch, Returns, Search, Sort
from mailsrv.imap.search_keys import Among, And, Key, Modified, Not, Or
from mailsrv.store.numbering import Uids, pick
from mailsrv.store.opened import OpenMailbox
from mailsrv.store.refusals import StoreRefusal
from mailsrv.store.search import Searcher
from mailsrv.store.search_budget import Budget
from mailsrv.imapd.progress import ToldBudget
from mailsrv.imapd.results import choose, is_told, make_pieces
from mailsrv.imapd.state import State
from mailsrv.imapd.view import View

_ALL = Returns(all=True)


def search(state: State, command: Command) -> Status:
    """Search the selected mailbox."""
    arguments = command.arguments
    assert isinstance(arguments, Search)
    returns = arguments.returns
    with saving(state, arguments):
        if has_modseq(arguments.key):
            state.use_modseqs()
        view = state.selected
        searcher = searcher_of(view.box, ToldBudget(state, command.tag))
        uids = find(view, searcher, arguments.key)
        if returns is None and state.rev2:
            returns = _ALL
        told = uids if returns is None else choose(returns, uids)
        modseq = searcher.highest_modseq(told) if has_modseq(arguments.key) and len(told) else None
        if returns is not None and returns.save:
            view.saved = NumberSet.of_sorted(told)
    numbers = uids if arguments.uid else numbers_of(view, uids)
    if returns is None:
        state.send(responses.searched(numbers, modseq))
    elif is_told(returns):
        pieces = make_pieces(returns, numbers, True, modseq)
        state.send(responses.esearched(command.tag, pieces, arguments.uid))
    return ok("searched")


# What SORT, THREAD and ESEARCH use too


def searcher_of(box: OpenMailbox, budget: Budget) -> Searcher:
    """What searches in an open mailbox, for one command."""
    return box.searcher(budget)


def find(view: View, searcher: Searcher, key: Key) -> "array[int]":
    """The UIDs that match in the selected mailbox, ascending, of messages that the client knows."""
    found = searcher.search(key, lambda among: _uids_of(view, among))
    if found and found[-1] > view.largest:
        del found[bisect_right(found, view.largest) :]
    return found


def _uids_of(view: View, among: Among) -> NumberSet:
    """What a set of numbers means; here those beyond the last message are no error (RFC 7377 section 2)."""
    if among.uid or among.numbers.saved:
        return view.uids_of(among.numbers, among.uid)
    return uids_at(view.uids, among)


def uids_at(uids: Uids, among: Among) -> NumberSet:
    """The UIDs with the message numbers of a set, as far as there are any."""
    count = len(uids)
    if not count:
        return EMPTY
    numbers = among.numbers.resolve(count) & NumberSet([(1, count)])
    if len(numbers) == count:
        return NumberSet.of_sorted(uids)
    return NumberSet.of_sorted(pick(uids, [(first - 1, last) for first, last in numbers.ranges])) if numbers else EMPTY


def numbers_of(view: View, uids: "array[int]") -> Sequence[int]:
    """The message numbers of ascending UIDs that the client knows."""
    if len(uids) == len(view.uids):
        return range(1, len(uids) + 1)
    return array("I", view.numbers_of(NumberSet.of_sorted(uids)))


def has_modseq(key: Key) -> bool:
    """Whether MODSEQ is among the keys. Trees are bounded in depth (mailsrv.imap.search_keys)."""
    match key:
        case Modified():
            return True
        case Not():
            return has_modseq(key.key)
        case Or():
            return has_modseq(key.left) or has_modseq(key.right)
        case And():
            return any(map(has_modseq, key.keys))
    return False


@contextmanager
def saving(state: State, arguments: Search | Sort | Esearch) -> Iterator[None]:
    """Where the result was to be saved and there is none, `$` means nothing afterwards (RFC 9051 section 6.4.4.1).
    Raises Refusal where there will be none."""
    try:
        if arguments.refused is not None:
            raise Refusal(arguments.refused)
        yield
    except (StoreRefusal, StorageError, Refusal) as error:
        # BAD leaves it as it is.
        if arguments.returns is not None and arguments.returns.save:
            if not isinstance(error, Refusal) or error.status.word is Word.NO:
                state.selected.saved = EMPTY
        raise
