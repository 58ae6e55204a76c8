"""AUTH of submission (RFC 4954): where logins are offered, and how their outcomes are worded.

What a login is and what failing costs stands in directory/logins, which IMAP shares. Nothing is decided here but where
clients may log in.

Diagnostics: raises nothing.
"""

import base64

from mailsrv.mail.reply import Reply
from mailsrv.sasl.mechanism import Challenge
from mailsrv.smtp.events import Auth, AuthCancelled, AuthResponse
from mailsrv.directory import logins
from mailsrv.directory.logins import Outcome, Visitor
from mailsrv.receive.state import State

SUCCESS = Reply(235, "2.7.0", "authentication successful")
INVALID = Reply(535, "5.7.8", "authentication credentials invalid")
BUSY = Reply(454, "4.7.0", "too many logins at this moment, try again later")
ENOUGH = Reply(421, "4.7.0", "too many failed logins, closing connection")
NOT_OFFERED = Reply(504, "5.5.4", "this mechanism is not offered")

_REPLIES = {
    Outcome.SUCCESS: SUCCESS,
    Outcome.WRONG: INVALID,
    Outcome.ENOUGH: ENOUGH,
    Outcome.BUSY: BUSY,
    Outcome.NOT_OFFERED: NOT_OFFERED,
}


def offered_mechanisms(state: State) -> tuple[str, ...]:
    """Mechanisms in the order of EHLO: only where clients must log in, only inside TLS (or on a loopback listener that
    allows it without), never twice."""
    if not state.is_submission or state.account or (state.tls is None and not state.peer.without_tls):
        return ()
    return logins.offered_mechanisms(state.house.directory.scram_ready, state.tls.bindings if state.tls else {})


class Logins:
    """The exchanges of one session, one after the other."""

    __slots__ = ("_logins", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        peer = state.peer
        self._logins = logins.Logins(state.house, Visitor(peer.session_id, peer.kind.value, peer.client))

    def begin(self, event: Auth) -> Reply:
        """Answer AUTH."""
        bindings = self._state.tls.bindings if self._state.tls else {}
        offered = offered_mechanisms(self._state)
        return self._word(self._logins.begin(event.mechanism, event.initial, offered, bindings))

    def go_on(self, event: AuthResponse) -> Reply:
        """Answer the client's next message."""
        return self._word(self._logins.go_on(event.octets))

    def cancel(self, event: AuthCancelled) -> Reply:
        """The exchange is over without a result."""
        self._logins.cancel()
        return event.reply

    def _word(self, result: Challenge | Outcome) -> Reply:
        if isinstance(result, Challenge):
            return Reply(334, "", base64.b64encode(result.octets).decode("ascii"))
        if result is Outcome.SUCCESS and self._logins.account is not None:
            self._state.account = self._logins.account.name
            self._state.identity_changed()
        return _REPLIES[result]
