"""What surrounds every command: reasons of the store as NO with their code, and the news of the selected mailbox before
the answer.

A mailbox that is deleted under a session ends its selection. A client that knows of this (IMAP4rev2, QRESYNC: RFC 9051
section 3) is told `* NO [CLOSED]` and goes on as if it had unselected it; any other would go on to ask for messages
that are not there, so it is told BYE and its command is answered, as RFC 2180 section 3.3 has it.

Diagnostics: raises what the pump raises when the client is gone, and what is a bug.
"""

from collections.abc import Callable
from dataclasses import replace

from mailsrv.errors import StorageError
from mailsrv.imap.answers import Answer, Refusal, Status, Word, bye
from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.situation import State as Standing
from mailsrv.store.refusals import MailboxGone, StoreRefusal
from mailsrv.imapd import refusals
from mailsrv.imapd.news import make_news
from mailsrv.imapd.state import State
from mailsrv.imapd.view import View

GONE = b"* NO [CLOSED] this mailbox was deleted, or its UIDs are no longer valid\r\n"
GOOD_BYE = bye("the selected mailbox was deleted, or its UIDs are no longer valid")
_DELETED = b"* OK [CLOSED] the selected mailbox is no more\r\n"
_KNOW_CLOSED = frozenset({"IMAP4REV2", "QRESYNC"})


def guard(state: State, act: Callable[[], Answer], renumber: bool) -> Answer:
    """Run a part of a command; the store's reasons become NO, and news are told before the answer."""
    try:
        answer = act()
    except MailboxGone as error:
        answer = refusals.refusal(error)
        if state.view is not None and not _is_there(state.view):  # else another mailbox is gone
            return _end_view(state, answer)
    except StoreRefusal as error:
        answer = refusals.refusal(error)
    except Refusal as error:
        answer = error.status
    except StorageError as error:
        state.house.complaints.storage(state.account, error)
        answer = refusals.failure(error)
    if isinstance(answer, Status):
        answer = tell(state, answer, renumber)
    return answer


def tell(state: State, answer: Status, renumber: bool) -> Status:
    """Send the news of the selected mailbox that may be sent now; gives the answer that follows them.

    What cannot be found out now is told another time; a mailbox that is gone ends its selection, and the answer stays.
    """
    view = state.view
    if view is None:
        return answer
    is_new, view.is_new = view.is_new, False  # all that there is was just told
    if is_new or state.core.state is not Standing.SELECTED or answer.word in (Word.BYE, Word.BAD):
        return answer
    notices = state.notices
    if notices is not None and not notices.tells_selected:
        return answer
    try:
        view.sync()
        if notices is not None and not notices.tells_flags:
            view.changed.clear()
        arrived = NumberSet.of_sorted(view.arrived)
        news = make_news(view, state.core.enabled, renumber)
    except MailboxGone:
        return _end_view(state, answer)
    except StorageError as error:
        state.house.complaints.storage(state.account, error)
        return answer
    if news:
        state.send(news)
    if arrived and notices is not None:
        notices.fetch_new(state, arrived)
    if view.gone and "QRESYNC" in state.core.enabled:
        # The client must not believe that it has been told all up to the modseqs it saw (RFC 7162 section 3.2).
        code = f"HIGHESTMODSEQ {view.gone_modseq}"
        if answer.word is Word.OK and not answer.code:
            return replace(answer, code=code)
        state.send(b"* OK [%b] not all is told yet\r\n" % code.encode())
    return answer


def close_deleted(state: State) -> None:
    """The client has deleted the mailbox that it had selected: it need not be told that it did."""
    state.send(_DELETED)
    state.deselect()
    state.core.deselect()


def _end_view(state: State, answer: Status) -> Status:
    """The selected mailbox is no more: nothing is selected from now on. The answer stays: what was done is done."""
    state.deselect()
    state.core.deselect()
    if state.core.enabled & _KNOW_CLOSED:
        state.send(GONE)
    else:
        state.core.end(GOOD_BYE)
    return answer


def _is_there(view: View) -> bool:
    try:
        view.sync()
    except MailboxGone:
        return False
    except StorageError:
        return True  # found out with the next command
    return True
