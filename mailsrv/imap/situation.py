"""Where a session stands, and the values that set it up: what readers of commands may know (RFC 9051 section 3).

Diagnostics: raises nothing.
"""

from dataclasses import dataclass, field
from enum import Enum


class State(Enum):
    """The states of RFC 9051 section 3; which commands are legal in each stands in mailsrv.imap.commands."""

    GREETING = "before the greeting is answered"
    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"

    __hash__ = object.__hash__  # members are single: by identity, in C


@dataclass(frozen=True, slots=True)
class Offer:
    """What may be used now; a new one is given at `tls_started` and may be set between events.

    `login` allows LOGIN with a password here and now (else LOGINDISABLED); `mechanisms` are those of SASL in their
    order of preference, empty where none may be used; `compress` offers COMPRESS=DEFLATE.
    """

    starttls: bool = False
    login: bool = False
    mechanisms: tuple[str, ...] = ()
    compress: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds that the core itself keeps, octets and counts; `early_` ones are before login."""

    message_size: int = 50_000_000  # APPENDLIMIT (RFC 7889): of one message of APPEND and REPLACE
    messages: int = 1000  # in one APPEND
    line: int = 65536  # of one line of a command, with CRLF
    early_line: int = 8192
    literal: int = 65536  # of one literal that is no message
    early_literal: int = 1024
    command: int = 262144  # of all lines and literals of one command, without messages
    early_command: int = 16384
    auth_line: int = 12288  # of a response in a SASL exchange
    discard: int = 100_000_000  # of one refused command whose octets come nevertheless (or message_size), before BYE
    early_discard: int = 65536
    errors: int = 20  # BAD in a row before BYE
    early_commands: int = 100  # before login


@dataclass(slots=True)
class Situation:
    """What a session keeps up to date and readers look at."""

    limits: Limits
    offer: Offer
    tls: bool = False
    state: State = State.GREETING
    compressed: bool = False
    enabled: set[str] = field(default_factory=set)  # by ENABLE, or by a command that implies it (RFC 7162 section 3.1)

    @property
    def authenticated(self) -> bool:
        """True after login."""
        return self.state in (State.AUTHENTICATED, State.SELECTED)

    @property
    def utf8(self) -> bool:
        """True where mailbox names and texts are UTF-8 both ways (RFC 9051 section 5.1, RFC 6855 section 3)."""
        return "IMAP4REV2" in self.enabled or "UTF8=ACCEPT" in self.enabled

    @property
    def uid_only(self) -> bool:
        """True where message numbers are not used any more (RFC 9586)."""
        return "UIDONLY" in self.enabled
