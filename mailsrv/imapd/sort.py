"""SORT and THREAD with their UID forms (RFC 5256, RFC 5957, RFC 5267 section 3, RFC 7162 section 3.1.10).

Diagnostics: SearchLimit for what would cost too much (LIMIT); MailboxGone and StorageError come from the store.
"""

from collections.abc import Iterable, Sequence

from mailsrv.imap import responses
from mailsrv.imap.answers import Status, ok
from mailsrv.imap.events import Command
from mailsrv.imap.extended_responses import Node, threaded
from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.search_arguments import Sort, Thread
from mailsrv.store import threads
from mailsrv.imapd.progress import ToldBudget
from mailsrv.imapd.results import choose, is_told, make_pieces
from mailsrv.imapd.search import find, has_modseq, saving, searcher_of
from mailsrv.imapd.state import State
from mailsrv.imapd.view import View


def sort(state: State, command: Command) -> Status:
    """Sort what is found in the selected mailbox."""
    arguments = command.arguments
    assert isinstance(arguments, Sort)
    returns = arguments.returns
    with saving(state, arguments):
        if has_modseq(arguments.key):
            state.use_modseqs()
        view = state.selected
        searcher = searcher_of(view.box, ToldBudget(state, command.tag))
        uids = searcher.sort(find(view, searcher, arguments.key), arguments.criteria)
        told = NumberSet.of(uids if returns is None else choose(returns, uids))
        modseq = searcher.highest_modseq(list(told)) if told and has_modseq(arguments.key) else None
        if returns is not None and returns.save:
            view.saved = told
    numbers = uids if arguments.uid else [view.number_of(uid) for uid in uids]
    if returns is None:
        state.send(responses.searched(numbers, modseq, b"SORT"))
    elif is_told(returns):
        state.send(responses.esearched(command.tag, make_pieces(returns, numbers, False, modseq), arguments.uid))
    return ok("sorted")


def thread(state: State, command: Command) -> Status:
    """Thread what is found in the selected mailbox."""
    arguments = command.arguments
    assert isinstance(arguments, Thread)
    if has_modseq(arguments.key):
        state.use_modseqs()
    view = state.selected
    searcher = searcher_of(view.box, ToldBudget(state, command.tag))
    forest = searcher.thread(find(view, searcher, arguments.key), arguments.algorithm)
    state.send(threaded(_number(None if arguments.uid else view, forest)))
    return ok("threaded")


def _number(view: View | None, forest: Iterable[threads.Thread]) -> Sequence[Node]:
    """Threads with message numbers, or with UIDs without a view. No recursion: threads may be deep."""
    nodes: list[Node] = []
    waiting = [(top, nodes) for top in forest]
    waiting.reverse()
    while waiting:
        top, beside = waiting.pop()
        below: list[Node] = []
        number = (view.number_of(top.uid) if view else top.uid) if top.uid else None
        beside.append((number, below))
        waiting.extend((child, below) for child in reversed(top.children))
    return nodes
