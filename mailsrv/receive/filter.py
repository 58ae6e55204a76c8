"""The door to a content filter: what it is shown, what it finds, and what becomes of mail that it gave no answer for.

A filter is rspamd (receive/rspamd) or a milter (receive/milter). It sees the message as it will be stored, with the
fields on top that this server has added, and may accept, send to Junk, defer or reject it, and have fields put on top.
Nothing else of a message is ever changed for it: what was signed stays as it was, and nothing that was accepted is
dropped, so that "discard" means Junk.

A larger message than filter.size_bytes is not shown. Without an answer (nobody there, too slow, nonsense) the key
filter.on_failure decides. Both are said in the finding.

Diagnostics: `ContentFilter.scan` raises nothing. Inside, scanners raise FilterFailed.
"""

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from mailsrv.errors import MailsrvError, StorageError
from mailsrv.system.dns_values import DnsFailure
from mailsrv.system.net import Lost, TimedOut, Unreachable
from mailsrv.system.scratch import Octets
from mailsrv.mail.authres import claims
from mailsrv.mail.reply import Reply
from mailsrv.config.schema import FilterConfig

REASON_LIMIT = 400  # characters: a reply has 512 octets, with our ID behind the text
MAX_SYMBOLS = 100
SYMBOL_LIMIT = 100  # characters of one symbol with its score
MAX_FIELDS = 50
FIELD_LIMIT = 16_384  # octets of one field
FIELDS_LIMIT = 65_536  # octets of all of them
LINE_LIMIT = 998  # octets of one line, RFC 5322 section 2.1.1

NOT_NOW = Reply(451, "4.7.1", "the content filter does not answer now, try again later")


class FilterFailed(MailsrvError):
    """The filter gave no answer that can be used. The text is a clause that says why."""


class Action(Enum):
    """What the filter wants done with the message."""

    ACCEPT = "accept"
    JUNK = "junk"
    DEFER = "defer"
    REJECT = "reject"


class Scan(Enum):
    """Whether the filter had its say."""

    DONE = "done"
    SKIPPED = "skipped"  # too large
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FilterMessage:
    """What a filter is shown. `id` is the message's ID; `client` the client's IP address and `client_name` its verified
    host name, "" without one (iprev); `hostname` is ours; `account` who has logged in, ""; `reverse_path` "" when null;
    `tls` version and cipher, such as "TLS1.3 TLS_AES_256_GCM_SHA384", "" without TLS. `octets`: the message as it will
    be stored."""

    id: str
    client: str
    client_name: str
    helo: str
    hostname: str
    account: str
    reverse_path: str
    recipients: tuple[str, ...]
    tls: str
    octets: Octets


@dataclass(frozen=True, slots=True)
class FilterFinding:
    """What the filter found. `reply` answers the message when the action is DEFER or REJECT, else it is None.

    `reason` is the filter's own word, or why there is none: printable ASCII, at most REASON_LIMIT characters.
    `symbols` are its rules that matched, as "NAME(score)". `fields` are header fields for the top of the message, whole
    and with CRLF, b"" without any. `ignored`: what it asked for and does not get."""

    action: Action
    scan: Scan = Scan.DONE
    reason: str = ""
    reply: Reply | None = None
    score: float | None = None
    required: float | None = None
    symbols: tuple[str, ...] = ()
    fields: bytes = b""
    ignored: tuple[str, ...] = ()


class ContentFilter(Protocol):
    """Asks a content filter, from any number of threads."""

    def scan(self, message: FilterMessage, /) -> FilterFinding:
        """Show it a message. Takes at most filter.timeout_seconds; raises nothing."""
        ...


class Scanner(Protocol):
    """One kind of filter. `name` is for texts."""

    @property
    def name(self) -> str: ...
    def scan(self, message: FilterMessage, /) -> FilterFinding:
        """Raises FilterFailed, or what the network and the disk raise."""
        ...


class GuardedFilter:
    """A scanner within the bounds that the configuration sets: size, and what happens without an answer."""

    def __init__(self, scanner: Scanner, config: FilterConfig) -> None:
        self._scanner = scanner
        self._size = config.size_bytes
        self._on_failure = Action(config.on_failure)

    def scan(self, message: FilterMessage) -> FilterFinding:
        """See ContentFilter."""
        if message.octets.size > self._size:
            reason = f"{message.octets.size} octets are more than filter.size_bytes ({self._size})"
            return FilterFinding(Action.ACCEPT, Scan.SKIPPED, reason)
        try:
            return self._scanner.scan(message)
        except (FilterFailed, Unreachable, Lost, TimedOut, DnsFailure, StorageError) as error:
            reason = clean(f"{self._scanner.name}: {error}")
            reply = NOT_NOW if self._on_failure is Action.DEFER else None
            return FilterFinding(self._on_failure, Scan.FAILED, reason, reply)


def refusal(code: int, enhanced: str, reason: str, text: str) -> FilterFinding:
    """A finding that refuses: `reason` cleaned is the reply's text, `text` when there is none."""
    words = clean(reason) or text
    action = Action.DEFER if code < 500 else Action.REJECT
    return FilterFinding(action, reason=words, reply=Reply(code, enhanced, words))


def clean(text: str, limit: int = REASON_LIMIT) -> str:
    """A text from outside on one line of printable ASCII."""
    line = " ".join(text[: 4 * limit].split())
    return _UNPRINTABLE.sub("?", line)[:limit].rstrip()


def symbol(name: str, score: float) -> str:
    """A rule that matched and what it adds."""
    return f"{clean(name, SYMBOL_LIMIT - 20)}({score:.2f})"


class Fields:
    """Collects the fields that a filter wants on top, and takes only what can stand there.

    A name is one (RFC 5322 section 2.2) and not one of those that mean something to the message by being there once, or
    that only this server writes. A value's line ends become folds, so that no value can begin another field or the
    body. Results under our own name (RFC 8601 section 5) are ours alone. What is not taken stands in `refused`."""

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        self._taken: list[bytes] = []
        self._size = 0
        self.refused: list[str] = []

    def add(self, name: str, value: str) -> None:
        """Put a field below those that were added before."""
        octets = _field(name, value)
        if octets is not None and name.lower() == _RESULTS and claims(octets[len(name) + 1 :], self._hostname):
            octets = None
        if octets is None or len(self._taken) == MAX_FIELDS or self._size + len(octets) > FIELDS_LIMIT:
            self.refuse(f"field {name}")
            return
        self._taken.append(octets)
        self._size += len(octets)

    def refuse(self, what: str) -> None:
        """Note something that was asked for and is not done."""
        if len(self.refused) < MAX_FIELDS:
            self.refused.append(clean(what, SYMBOL_LIMIT))

    def onto(self, finding: FilterFinding) -> FilterFinding:
        """The finding with these fields, if the message is kept, and with what was refused."""
        kept = finding.action in (Action.ACCEPT, Action.JUNK)
        return replace(finding, fields=b"".join(self._taken) if kept else b"", ignored=tuple(self.refused))


def _field(name: str, value: str) -> bytes | None:
    """A whole field with CRLF, or None when it cannot stand on top of a message."""
    if not _NAME.fullmatch(name) or name.lower() in _NOT_ADDED or len(value) > FIELD_LIMIT:
        return None
    lines = [line.rstrip(" \t") for line in _LINE_END.split(value.strip())]
    kept = [_UNPRINTABLE_IN_FIELD.sub("?", line) for line in lines if line.strip()]
    folded = [line if line[0] in " \t" else f"\t{line}" for line in kept[1:]]
    whole = [f"{name}: {kept[0] if kept else ''}".rstrip(), *folded]
    if any(len(line) > LINE_LIMIT for line in whole):
        return None
    return "".join(f"{line}\r\n" for line in whole).encode("ascii")


_UNPRINTABLE = re.compile(r"[^ -~]")
_UNPRINTABLE_IN_FIELD = re.compile(r"[^\t -~]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_NAME = re.compile(r"[!-9;-~]{1,76}")
_RESULTS = "authentication-results"
# Fields of which a message has one (RFC 5322 section 3.6) or whose second one says how the rest is to be read (RFC 2045
# section 3), and those that are only true when the server itself has written them.
_NOT_ADDED = frozenset(
    {
        "date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject",
        "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
        "return-path", "received", "received-spf", "x-mailsrv-reasons",
    }
)  # fmt: skip
