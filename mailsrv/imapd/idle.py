"""IDLE: the client is told news as they come (RFC 9051 section 6.3.13, RFC 2177).

Who waits holds no timer: the process's watcher rings at each announcement of the account, and from time to time for
what other programs do. Between two rings the session owns no connection to the index.

Diagnostics: StorageError and MailboxGone never leave: what cannot be found out is told another time.
"""

from mailsrv.imap.answers import Answer, Continue, no, ok
from mailsrv.imap.events import Command
from mailsrv.imap.situation import State as Standing
from mailsrv.imapd.state import State
from mailsrv.imapd.telling import guard
from mailsrv.imapd.view import View

DONE = ok("welcome back")
_GONE = no("the selected mailbox was deleted", "NONEXISTENT")


def begin(state: State, command: Command) -> Answer:
    """IDLE. The watch begins before the last look, so that nothing falls between them."""
    state.idling = True
    listen(state)
    look(state)
    return _GONE if state.core.state is Standing.LOGOUT else Continue()


def look(state: State) -> None:
    """Tell what is new: at the begin of IDLE and whenever the watcher rings."""
    view = state.view
    if view is not None:
        delays = state.notices is not None and state.notices.delays and not state.idling
        guard(state, lambda: _look_for_files(view), renumber=not delays)
        if state.core.state is Standing.LOGOUT:
            return  # BYE was said
    if state.notices is not None:
        state.notices.look(state)
    if state.annotations is not None:
        state.annotations.look(state)


def _look_for_files(view: View) -> Answer:
    view.box.refresh()
    return DONE


def listen(state: State) -> None:
    """Listen for those accounts whose mailboxes this session wants to hear of now. What happens to a mailbox that
    another account shares is announced under that account's name."""
    wanted: set[str] = set()
    if state.idling or state.notices is not None:
        wanted.add(state.account)
        if state.view is not None:
            wanted.add(state.view.box.owner)
    if state.notices is not None or state.idling and state.annotations is not None:
        wanted.update(state.mailboxes.owners())
    watched, state.watched = state.watched, frozenset(wanted)
    for account in wanted - watched:
        state.house.watch.enter(account, state.ring)
    for account in watched - wanted:
        state.house.watch.leave(account, state.ring)


def leave(state: State) -> None:
    """DONE, or the session's end: listen for rings no more, but for what NOTIFY wants; a second call does nothing."""
    state.idling = False
    listen(state)
