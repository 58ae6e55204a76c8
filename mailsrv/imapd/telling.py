"""What surrounds every command: reasons of the store as NO with their code, and the news of the selected mailbox before
the answer.

A mailbox that is deleted under a session ends its selection: `* NO [CLOSED]`, and the session goes on as if it had been
unselected (RFC 2180 section 3.3 would let us end the session instead, which costs the client a login).

Diagnostics: raises what the pump raises when the client is gone, and what is a bug.
"""

from collections.abc import Callable
from dataclasses import replace

from mailsrv.errors import StorageError
from mailsrv.system import events
from mailsrv.imap.answers import Answer, Refusal, Status, Word
from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.situation import State as Standing
from mailsrv.store.refusals import MailboxGone, StoreRefusal
from mailsrv.imapd import refusals
from mailsrv.imapd.news import make_news
from mailsrv.imapd.state import State

GONE = b"* NO [CLOSED] this mailbox was deleted, or its UIDs are no longer valid\r\n"


def guard(state: State, act: Callable[[], Answer], renumber: bool) -> Answer:
    """Run a part of a command; the store's reasons become NO, and news are told before the answer."""
    try:
        answer = act()
    except MailboxGone as error:
        return _end_view(state, refusals.refusal(error))
    except StoreRefusal as error:
        answer = refusals.refusal(error)
    except Refusal as error:
        answer = error.status
    except StorageError as error:
        events.storage(state.house.log, path=state.account, reason=str(error))
        answer = refusals.failure(error)
    if isinstance(answer, Status):
        answer = tell(state, answer, renumber)
    return answer


def tell(state: State, answer: Status, renumber: bool) -> Status:
    """Send the news of the selected mailbox that may be sent now; gives the answer that follows them.

    What cannot be found out now is told another time; a mailbox that is gone ends its selection, and the answer stays.
    """
    view = state.view
    if view is None or state.core.state is not Standing.SELECTED or answer.word in (Word.BYE, Word.BAD):
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
        events.storage(state.house.log, path=state.account, reason=str(error))
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


def _end_view(state: State, answer: Status) -> Status:
    """The selected mailbox is no more: nothing is selected from now on."""
    state.send(GONE)
    state.deselect()
    state.core.deselect()
    return answer
