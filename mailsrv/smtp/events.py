"""The events by which the protocol core tells what the client did, and the values with which it is set up.

Every event except DataChunk is answered exactly once with a Reply (DataEnd in LMTP: a list, one Reply per accepted
recipient in order of RCPT). NEED_DATA means: give me octets. FramingFault and Closed end the session.

Diagnostics: raises nothing.
"""

from dataclasses import dataclass
from enum import Enum

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, MailParameters, ReversePath
from mailsrv.mail.reply import Reply


class Need(Enum):
    """What the core wants instead of giving an event."""

    DATA = "octets from the client"
    ANSWER = "an answer to the last event"


NEED_DATA = Need.DATA
NEED_ANSWER = Need.ANSWER


@dataclass(frozen=True, slots=True)
class Connected:
    """The session begins: answer with the greeting (220), or 421 or 554 to refuse."""


@dataclass(frozen=True, slots=True)
class Hello:
    """HELO, EHLO or LHLO. A positive answer's text is only its first line (the core adds the extensions for EHLO and
    LHLO).
    """

    verb: str
    name: str


@dataclass(frozen=True, slots=True)
class StartTls:
    """Answer 220, then let the pump shake hands and call `tls_started`; or 454."""


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH with a mechanism that is offered. `initial` is the decoded initial response, None when there was none.

    Answer 334 with the challenge as base64 text (the core then gives AuthResponse), 235, or a refusal.
    """

    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The decoded next response of the client; answered like Auth. A cancelled exchange gives AuthCancelled."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class AuthCancelled:
    """The client sent `*`, or octets that are not base64, or too many: the exchange is over. `reply` is what the core
    will say; it says so whatever the answer, unless the answer closes the session (421)."""

    reply: Reply = Reply(501, "5.7.0", "authentication cancelled")


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL: a transaction begins when it is answered positively."""

    reverse_path: ReversePath
    parameters: MailParameters


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT. The forward-path `<Postmaster>` without a domain comes with the domain "" (RFC 5321 section 4.1.1.3)."""

    forward_path: Address
    dsn: DsnRequest


@dataclass(frozen=True, slots=True)
class DataStart:
    """The message is about to come. `chunking` tells BDAT from DATA; for DATA answer 354 or a refusal, for BDAT answer
    250 or a refusal (the core discards refused chunks itself and sends no 250 for this event)."""

    chunking: bool


@dataclass(frozen=True, slots=True)
class DataChunk:
    """Some octets of the message, dots unstuffed, CRLF line ends. Not answered."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class DataEnd:
    """The message is complete: `size` octets. With a `fault` (too big, line too long) the message must not be kept and
    the answer is that Reply (LMTP: for each recipient)."""

    size: int
    fault: Reply | None


@dataclass(frozen=True, slots=True)
class Reset:
    """RSET, or the transaction ended otherwise (a new greeting was accepted, a chunk was lost): forget it. Answer 250;
    only RSET's is sent."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT: answer 221."""


@dataclass(frozen=True, slots=True)
class FramingFault:
    """Bare CR, bare LF or NUL, or an endless line: final. The core has its 554 in `data_to_send`; the pump sends it,
    discards input for at most 5 s or 1 MiB without parsing, and closes. Not answered."""

    kind: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over (after 221, 421, a refused greeting, too many errors). Not answered."""


Event = (
    Connected | Hello | StartTls | Auth | AuthResponse | AuthCancelled | Mail | Rcpt | DataStart | DataChunk | DataEnd
    | Reset | Quit | FramingFault | Closed
)


class Kind(Enum):
    """Which dialect a listener speaks; the values are the configuration's words."""

    SMTP = "smtp"
    SUBMISSION = "submission"
    SUBMISSIONS = "submissions"
    LMTP = "lmtp"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the session may offer now; a new one is given at `tls_started` and after AUTH.

    `mechanisms`: SASL mechanisms in the order of EHLO, empty when AUTH must not be offered here and now.
    """

    starttls: bool = False
    mechanisms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds that the core itself keeps (octets and counts); configuration key names are the same."""

    message_size: int = 50_000_000
    recipients: int = 1000
    command_line: int = 4096  # octets with CRLF; RFC 5321 wants 512, and more for extensions
    auth_line: int = 12288  # octets of a line of an AUTH exchange (RFC 4954 section 4)
    text_line: int = 65536  # octets of one line of the message
    commands: int = 100_000  # per session
    errors: int = 20  # refused or unknown commands per session before 421
    junk_commands: int = 100  # NOOP, RSET, VRFY... between two messages before 421
    messages: int = 10_000  # transactions per session
