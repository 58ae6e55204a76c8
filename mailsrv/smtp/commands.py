"""The commands of SMTP and LMTP as one table of named rows (RFC 5321 section 4.1.1, RFC 2033, RFC 3030, RFC 3207, RFC
4954).

A row says where a command is legal and reads its argument into an event, or into the reply that the core gives itself.
The session asks the row in this order: known, at the right time, TLS, authentication, argument; so a wrong sequence
never reveals what an argument would have been worth. Text from the client selects a row here and nothing else.

Diagnostics: readers raise Refusal with the reply; nothing else leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.mail.reply import Reply
from mailsrv.smtp import extensions, grammar, replies
from mailsrv.smtp.events import Auth, DataStart, Event, Hello, Kind, Limits, Mail, Offer, Quit, Rcpt, Reset, StartTls
from mailsrv.smtp.replies import Refusal


class State(Enum):
    """How far the session is."""

    GREETING = "before the greeting is answered"
    START = "before EHLO"
    READY = "no transaction"
    MAIL = "MAIL accepted, no recipient yet"
    RCPT = "at least one recipient"
    CHUNKS = "at least one BDAT, not the last"

    __hash__ = object.__hash__  # members are single: by identity, in C; Enum's own is Python and on every message's way


@dataclass(slots=True)
class Situation:
    """What readers of commands may know of the session; the session keeps it up to date."""

    kind: Kind
    limits: Limits
    offer: Offer
    tls: bool
    state: State = State.GREETING
    hello: str = ""  # HELO, EHLO or LHLO, whichever was accepted last
    authenticated: bool = False
    smtputf8: bool = False  # of the transaction
    recipients: int = 0  # accepted in the transaction
    tried: int = 0  # RCPT commands in the transaction that policy answered
    transactions: int = 0  # MAIL commands in the session

    def begin(self, state: State) -> None:
        """Forget the transaction and be in `state`."""
        self.state = state
        self.smtputf8 = False
        self.recipients = self.tried = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """BDAT: `size` octets follow. `refusal` is the answer when they are to be thrown away."""

    size: int
    last: bool
    refusal: Reply | None = None


Reader = Callable[[str, Situation], Event | Reply | Chunk]

_ANY = frozenset(State) - {State.GREETING}
_GREETED = _ANY - {State.START}
_ALL_KINDS = frozenset(Kind)
_LMTP = frozenset({Kind.LMTP})
_SUBMISSION = frozenset({Kind.SUBMISSION, Kind.SUBMISSIONS})


@dataclass(frozen=True, slots=True)
class Row:
    """One command. `misplaced` is said when the state is wrong and EHLO is not what is missing."""

    verb: str
    read: Reader
    states: frozenset[State] = _ANY
    kinds: frozenset[Kind] = _ALL_KINDS
    misplaced: str = ""
    extension: bool = False  # needs EHLO or LHLO
    before_tls: bool = True  # allowed where STARTTLS must come first (RFC 3207 section 4)
    needs_authentication: bool = False  # on submission listeners
    ends_group: bool = False  # must be the last of a pipelined group (RFC 2920 section 3.1)
    junk: bool = False  # moves no mail: too many of them end the session
    octets_follow: bool = False  # its argument announces octets that are no commands


def judge(row: Row, situation: Situation) -> Reply | None:
    """The refusal of a command that comes at the wrong time, before its argument is looked at."""
    if situation.state not in row.states:
        if situation.state is State.START:
            return replies.SAY_LHLO if situation.kind is Kind.LMTP else replies.SAY_EHLO
        if row.verb == "DATA" and situation.state is State.MAIL and situation.tried and situation.kind is not Kind.LMTP:
            # RFC 2920 section 3.1 lets DATA behind refused recipients fail like this; LMTP wants 503 (RFC 2033 section
            # 4.2).
            return replies.NO_RECIPIENTS
        return Reply(503, "5.5.1", row.misplaced)
    if row.extension and situation.hello == "HELO":
        return replies.NEEDS_EHLO
    if not row.before_tls and _needs_tls(situation):
        return replies.TLS_REQUIRED
    if row.needs_authentication and situation.kind in _SUBMISSION and not situation.authenticated:
        return replies.AUTH_REQUIRED
    return None


def _needs_tls(situation: Situation) -> bool:
    """True on a submission listener where authentication waits for STARTTLS."""
    offer = situation.offer
    return situation.kind in _SUBMISSION and not situation.tls and offer.starttls and not offer.mechanisms


def _read_hello(verb: str, argument: str, situation: Situation) -> Event:
    try:
        grammar.check_client_name(argument)
    except GrammarError:
        raise Refusal(replies.HELLO_NAME) from None
    return Hello(verb, argument)


def _read_mail(argument: str, situation: Situation) -> Event | Reply:
    if situation.transactions >= situation.limits.messages:
        return replies.TOO_MANY_MESSAGES
    situation.transactions += 1  # RFC 9422 section 4.1 counts refused ones, too
    address, word, text = _read_path(argument, "FROM:", replies.MAIL_SYNTAX, replies.bad_reverse_path)
    if word:
        raise Refusal(replies.bad_reverse_path("the address needs an @"))
    if text and situation.hello == "HELO":
        raise Refusal(replies.unknown_parameter(text.partition("=")[0]))
    parameters = extensions.read_mail_parameters(text)
    if parameters.size > situation.limits.message_size:
        return replies.TOO_BIG
    if address is not None and not parameters.smtputf8 and not address.is_ascii:
        return replies.NEEDS_SMTPUTF8
    return Mail(address, parameters)


def _read_rcpt(argument: str, situation: Situation) -> Event | Reply:
    address, word, text = _read_path(argument, "TO:", replies.RCPT_SYNTAX, replies.bad_forward_path)
    if text and situation.hello == "HELO":
        raise Refusal(replies.unknown_parameter(text.partition("=")[0]))
    dsn = extensions.read_rcpt_parameters(text)
    if address is None:
        if grammar.upper(word) != "POSTMASTER":
            raise Refusal(replies.bad_forward_path("the address needs an @" if word else "it is empty"))
        address = Address(word, "")
    if not situation.smtputf8 and not address.is_ascii:
        return replies.NEEDS_SMTPUTF8
    if situation.recipients >= situation.limits.recipients:
        return replies.TOO_MANY_RECIPIENTS
    return Rcpt(address, dsn)


def _read_path(
    argument: str, keyword: str, form: Reply, refuse: Callable[[str], Reply]
) -> tuple[Address | None, str, str]:
    try:
        return grammar.read_path(argument, keyword)
    except GrammarError as error:
        raise Refusal(refuse(str(error)) if str(error) else form) from None


def _read_bdat(argument: str, situation: Situation) -> Chunk:
    """The size is read even where BDAT is refused, for that many octets follow in any case."""
    size, _, last = argument.partition(" ")
    last = last.strip(" ")
    if not (size.isascii() and size.isdigit() and len(size) <= 20):
        raise Refusal(replies.BDAT_SIZE)
    if last and grammar.upper(last) != "LAST":
        return Chunk(int(size), False, replies.BDAT_SYNTAX)
    return Chunk(int(size), bool(last))


def _read_starttls(argument: str, situation: Situation) -> Event | Reply:
    if argument:
        raise Refusal(replies.NO_ARGUMENT)
    if situation.tls:
        return replies.IN_TLS
    return StartTls() if situation.offer.starttls else replies.NO_TLS


def _read_auth(argument: str, situation: Situation) -> Event | Reply:
    if situation.authenticated:
        return replies.AUTHENTICATED
    mechanisms = situation.offer.mechanisms
    if not mechanisms:
        return replies.AUTH_NEEDS_TLS if _needs_tls(situation) else replies.NO_AUTH
    words = argument.split(" ")
    if not words[0] or len(words) > 2:
        raise Refusal(replies.AUTH_SYNTAX)
    mechanism = grammar.upper(words[0])
    if mechanism not in mechanisms:
        return replies.NO_MECHANISM
    if len(words) == 1:
        return Auth(mechanism, None)
    try:
        return Auth(mechanism, b"" if words[1] == "=" else grammar.read_base64(words[1]))
    except GrammarError:
        return replies.AUTH_BASE64


def _read_nothing(event: Event, argument: str, situation: Situation) -> Event:
    """A command without argument."""
    if argument:
        raise Refusal(replies.NO_ARGUMENT)
    return event


def _read_vrfy(argument: str, situation: Situation) -> Reply:
    return replies.VRFY if argument else replies.NEEDS_ARGUMENT


def _answer(reply: Reply, argument: str, situation: Situation) -> Reply:
    """A command that is answered the same, whatever its argument."""
    return reply


_NOT_LMTP = _ALL_KINDS - _LMTP

_ROWS = (
    Row("EHLO", partial(_read_hello, "EHLO"), kinds=_NOT_LMTP, ends_group=True, junk=True),
    Row("HELO", partial(_read_hello, "HELO"), kinds=_NOT_LMTP, ends_group=True, junk=True),
    Row("LHLO", partial(_read_hello, "LHLO"), kinds=_LMTP, ends_group=True, junk=True),
    Row(
        "MAIL",
        _read_mail,
        states=frozenset({State.READY}),
        misplaced="a transaction is open: finish it or send RSET",
        before_tls=False,
        needs_authentication=True,
    ),
    Row(
        "RCPT",
        _read_rcpt,
        states=frozenset({State.MAIL, State.RCPT}),
        misplaced="RCPT comes behind MAIL and before the message",
    ),
    Row(
        "DATA",
        partial(_read_nothing, DataStart(chunking=False)),
        states=frozenset({State.RCPT}),
        misplaced="DATA comes behind MAIL and RCPT",
        ends_group=True,
    ),
    Row(
        "BDAT",
        _read_bdat,
        states=frozenset({State.RCPT, State.CHUNKS}),
        misplaced="BDAT comes behind MAIL and RCPT",
        extension=True,
        octets_follow=True,
    ),
    Row("RSET", partial(_read_nothing, Reset()), junk=True),
    Row("NOOP", partial(_answer, replies.NOOP), ends_group=True, junk=True),
    Row("QUIT", partial(_read_nothing, Quit()), ends_group=True),
    Row("VRFY", _read_vrfy, before_tls=False, ends_group=True, junk=True),
    Row("EXPN", partial(_answer, replies.NO_EXPN), before_tls=False, ends_group=True, junk=True),
    Row("HELP", partial(_answer, replies.HELP), junk=True),
    Row(
        "STARTTLS",
        _read_starttls,
        states=frozenset({State.READY}),
        misplaced="STARTTLS comes before MAIL",
        extension=True,
        ends_group=True,
    ),
    Row(
        "AUTH",
        _read_auth,
        states=frozenset({State.READY}),
        misplaced="AUTH comes before MAIL",
        extension=True,
        ends_group=True,
    ),
)

# Each kind of listener knows its own rows; HELO is as unknown to LMTP as any other word (RFC 2033 section 4.1).
COMMANDS: dict[Kind, dict[str, Row]] = {
    kind: {row.verb: row for row in _ROWS if kind in row.kinds} for kind in Kind
}

# First words of HTTP requests: a browser was made to talk to this port, and what follows is not meant for it.
HTTP_VERBS = frozenset({"GET", "POST", "HEAD", "PUT", "CONNECT", "OPTIONS", "DELETE", "PATCH", "TRACE", "PRI"})
