"""The events by which the IMAP core tells what the client did, and what may answer each.

Command, AuthResponse, AuthCancelled, IdleEnd, MessageStart, AppendEnd and Connected are answered exactly once, with a
Status or, where it says so, a Continue (mailsrv.imap.answers); MessageChunk, MessageEnd, Aborted and Closed are not
answered. NEED_DATA means: give me octets. Untagged data is written with `session.send` before the answer.

Diagnostics: raises nothing.
"""

from dataclasses import dataclass
from enum import Enum

from mailsrv.imap.answers import Status
from mailsrv.imap.commands import Row


class Need(Enum):
    """What the core wants instead of giving an event."""

    DATA = "octets from the client"
    ANSWER = "an answer to the last event"


NEED_DATA = Need.DATA
NEED_ANSWER = Need.ANSWER


@dataclass(frozen=True, slots=True)
class Connected:
    """The session begins: answer with OK, PREAUTH or BYE. The core adds the capabilities to an OK without a code."""


@dataclass(frozen=True, slots=True)
class Command:
    """One whole command, which is legal here. `arguments` is a dataclass of the module that `row.read` comes from.

    Answer with a Status; the state changes only when it is OK. What else some commands take: IDLE, AUTHENTICATE, APPEND
    and REPLACE are let in with Continue; LOGOUT is answered OK, and the core writes the BYE; OK to STARTTLS and
    COMPRESS makes `wants_tls` and `wants_compression` true; OK to ENABLE makes the core write the ENABLED line.
    """

    tag: str
    row: Row
    arguments: object


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The decoded next response of the client to a challenge; answered like AUTHENTICATE."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class AuthCancelled:
    """The client sent `*`, octets that are not base64 or too many: the exchange is over. The core says `status`
    whatever the answer, unless that is BYE."""

    status: Status


@dataclass(frozen=True, slots=True)
class IdleEnd:
    """The client wants to be left alone no more. With a `fault` the line was not DONE; the core says so whatever the
    answer, unless that is BYE."""

    fault: Status | None = None


@dataclass(frozen=True, slots=True)
class MessageStart:
    """A message of APPEND or REPLACE is announced: `size` octets, within Limits.message_size. Answer Continue, or NO to
    refuse the whole command.

    `flags` as sent (system flags in their one spelling, `\\Recent` left out), `date` in seconds since the epoch or
    None, `binary` for literal8 (RFC 3516), `utf8` for UTF8 (...) (RFC 6855 section 4).
    """

    flags: tuple[str, ...]
    date: int | None
    size: int
    binary: bool = False
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class MessageChunk:
    """Some octets of the message, as they came. Not answered."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """All octets of the message came. Not answered; another MessageStart, AppendEnd or Aborted follows."""


@dataclass(frozen=True, slots=True)
class AppendEnd:
    """The command is complete: store all its messages or none, then answer (RFC 3502)."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The command broke off behind an accepted APPEND or REPLACE: keep nothing. The client was told, or is gone. Not
    answered."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over. Not answered."""


Event = (
    Connected
    | Command
    | AuthResponse
    | AuthCancelled
    | IdleEnd
    | MessageStart
    | MessageChunk
    | MessageEnd
    | AppendEnd
    | Aborted
    | Closed
)
