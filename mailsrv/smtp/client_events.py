"""What goes into the client core and what comes out: transactions, answers, events, phases with their timeouts (RFC
5321 section 4.5.3.2).

The driver gives commands as method calls, takes events with `next_event`, and waits for octets no longer than TIMEOUTS
says for the `phase` that the session is in.

Diagnostics: raises nothing.
"""

from dataclasses import dataclass
from enum import Enum

from mailsrv.mail.envelope import MailParameters, Recipient, ReversePath
from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_capabilities import Capabilities


class Phase(Enum):
    """What the session waits for."""

    GREETING = "the greeting"
    HELLO = "the reply to EHLO"
    STARTTLS = "the reply to STARTTLS"
    AUTH = "the reply to AUTH"
    MAIL = "the reply to MAIL"
    RCPT = "the reply to RCPT"
    DATA_INIT = "the reply to DATA"
    DATA_BLOCK = "the host to take the message"
    DATA_END = "the reply to the message"
    RESET = "the reply to RSET"
    QUIT = "the reply to QUIT"
    IDLE = "nothing"


# Seconds. Those that RFC 5321 section 4.5.3.2 names have its values; EHLO, STARTTLS and RSET are as cheap for a server
# as MAIL. Nothing depends on the reply to QUIT.
TIMEOUTS: dict[Phase, float] = {
    Phase.GREETING: 300.0,
    Phase.HELLO: 300.0,
    Phase.STARTTLS: 120.0,
    Phase.AUTH: 120.0,
    Phase.MAIL: 300.0,
    Phase.RCPT: 300.0,
    Phase.DATA_INIT: 120.0,
    Phase.DATA_BLOCK: 180.0,
    Phase.DATA_END: 600.0,
    Phase.RESET: 20.0,
    Phase.QUIT: 5.0,
    Phase.IDLE: 300.0,
}


class Stage(Enum):
    """What was refused or failed; the values are words for a report: `in reply to <value>`."""

    NEEDS = "nothing: the host cannot take such a message"  # found by us, before anything was sent
    GREETING = "the connection"
    HELLO = "EHLO"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "the message"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One message for some recipients.

    `size` is the exact number of octets that the driver will give as body: a BDAT announces it. `eight_bit`: some octet
    of the message is above 127; `utf8_header`: some octet of its header is. The message has CRLF line ends and no bare
    CR or LF, as everything in the spool.
    """

    reverse_path: ReversePath
    recipients: tuple[Recipient, ...]
    parameters: MailParameters
    size: int
    eight_bit: bool = False
    utf8_header: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one recipient.

    `by_peer` is False when `reply` is our own word and not the host's. `doubtful`: the whole message was sent and no
    reply came, so the host may have taken it; trying again may make a duplicate, not trying again may lose it (RFC
    1047), so the answer is temporary. `again`: the host refused a parameter that it had offered; this session does not
    use it any more, and the same transaction can be tried again at once.
    """

    reply: Reply
    stage: Stage
    by_peer: bool = True
    doubtful: bool = False
    again: bool = False

    @property
    def is_accepted(self) -> bool:
        """The host has taken the message for this recipient."""
        return self.reply.code < 300

    @property
    def is_temporary(self) -> bool:
        """Another attempt, here or at another host, may succeed."""
        return 300 <= self.reply.code < 500

    @property
    def is_permanent(self) -> bool:
        """No attempt at this host will succeed."""
        return self.reply.code >= 500


@dataclass(frozen=True, slots=True)
class Greeted:
    """The server is willing: call `hello`."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Helloed:
    """EHLO, LHLO or, without any extension, HELO was accepted: transactions may begin."""

    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Refused:
    """The greeting (GREETING) or the introduction (HELLO) was a refusal: nothing but `quit` is possible."""

    stage: Stage
    reply: Reply


@dataclass(frozen=True, slots=True)
class TlsReady:
    """Shake hands now, then call `tls_started` and `hello` again."""


@dataclass(frozen=True, slots=True)
class TlsRefused:
    """STARTTLS was refused; the session goes on in clear if the driver wants that."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class AuthResult:
    """The end of an exchange: 235, or why not. A refusal with `by_peer` False is ours: the server's part of the
    exchange was wrong, and the connection deserves no trust."""

    reply: Reply
    by_peer: bool = True


@dataclass(frozen=True, slots=True)
class NeedBody:
    """Give the message: `body` with its octets from the first one on, in blocks of any size, then `end_of_body`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The transaction is over: one Answer for each recipient, in order. Always given, whatever happened, exactly once
    for each `send`."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Cleared:
    """The answer to `reset`: anything but a 2yz means that the connection is not worth keeping."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Bye:
    """QUIT was answered: close the connection. Given again and again."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection is of no use any more: close it. Given again and again. `reason` is a clause for the log."""

    reason: str


ClientEvent = (
    Greeted | Helloed | Refused | TlsReady | TlsRefused | AuthResult | NeedBody | Finished | Cleared | Bye | Broken
)
