"""LOGIN and AUTHENTICATE (RFC 9051 section 6.2), LOGOUT's opposite UNAUTHENTICATE (RFC 8437): who the client is.

What a login is and what failing costs stands in directory/logins, which submission shares. A login that succeeds opens
nothing yet but the account's list of mailboxes.

Diagnostics: StorageError where the account's directory cannot be used.
"""

from mailsrv.imap.answers import Answer, Continue, Status, bye, no, ok
from mailsrv.imap.events import AuthCancelled, AuthResponse, Command
from mailsrv.imap.session_arguments import Authenticate, Login
from mailsrv.sasl.mechanism import Challenge
from mailsrv.directory import logins
from mailsrv.directory.logins import Outcome
from mailsrv.store.reader import Reader
from mailsrv.store.values import Usage
from mailsrv.imapd import idle
from mailsrv.imapd.house import House
from mailsrv.imapd.library import Library
from mailsrv.imapd.state import State

LOGGED_IN = ok("logged in")
TOO_MANY = no("this account has too many sessions", "LIMIT")

_ANSWERS: dict[Outcome, Status] = {
    Outcome.WRONG: no("authentication failed", "AUTHENTICATIONFAILED"),
    Outcome.ENOUGH: bye("too many failed logins"),
    Outcome.BUSY: no("too many logins at this moment, try again later", "UNAVAILABLE"),
    Outcome.NOT_OFFERED: no("this mechanism is not offered", "CANNOT"),
}


def offered_mechanisms(state: State) -> tuple[str, ...]:
    """Mechanisms in their order of preference: before login, and only inside TLS (or on a loopback listener that allows
    it without)."""
    if state.account or (state.tls is None and not state.peer.without_tls):
        return ()
    return logins.offered_mechanisms(state.house.directory.scram_ready, _bindings(state))


def _bindings(state: State) -> dict[str, bytes]:
    return dict(state.tls.bindings) if state.tls else {}


def login(state: State, command: Command) -> Answer:
    """LOGIN."""
    arguments = command.arguments
    assert isinstance(arguments, Login)
    return _settle(state, state.logins.try_password(arguments.name, arguments.password))


def authenticate(state: State, command: Command) -> Answer:
    """AUTHENTICATE."""
    arguments = command.arguments
    assert isinstance(arguments, Authenticate)
    offered = offered_mechanisms(state)
    return _settle(state, state.logins.begin(arguments.mechanism, arguments.initial, offered, _bindings(state)))


def respond(state: State, event: AuthResponse) -> Answer:
    """The client's next message of an exchange."""
    return _settle(state, state.logins.go_on(event.octets))


def cancel(state: State, event: AuthCancelled) -> Answer:
    """The exchange is over without a result."""
    state.logins.cancel()
    return event.status


def _settle(state: State, result: Challenge | Outcome) -> Answer:
    if isinstance(result, Challenge):
        return Continue(result.octets)
    if result is not Outcome.SUCCESS:
        return _ANSWERS[result]
    account = state.logins.account
    assert account is not None  # SUCCESS is somebody's
    house = state.house
    state.show(account.name)
    if house.throttle.sessions_of(account.name) > house.config.limits.imap_sessions:
        state.show("")
        return TOO_MANY
    state.library = make_library(house, account.name)
    state.account = account.name
    return LOGGED_IN


def make_library(house: House, account: str) -> Library:
    """The mailboxes of whoever has logged in."""

    def limits_of(name: str) -> Usage | None:
        found = house.directory.account(name)
        return None if found is None else Usage(found.quota_bytes, found.quota_messages)

    def find_reader(name: str) -> Reader | None:
        limits = limits_of(name)
        return None if limits is None else house.readers.reader(name, limits)

    return Library(house.readers.reader(account, limits_of(account) or Usage()), find_reader, house.access)


def unauthenticate(state: State, command: Command) -> Answer:
    """UNAUTHENTICATE: as before the login; TLS and compression stay (RFC 8437 section 3)."""
    state.notices = state.annotations = None
    idle.leave(state)
    state.drop()
    state.library = None
    state.account = ""
    state.show("")
    return ok("nobody is logged in")
