"""The state of one session and of its transaction, as policy sees it. Only floor 4 changes it, from the session's
thread.

Diagnostics: raises nothing.
"""

from dataclasses import dataclass
from typing import Any

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import MailParameters, Recipient, ReversePath
from mailsrv.mail.reply import Reply
from mailsrv.authn.findings import Ask, Findings
from mailsrv.authn.verdict import Verdict
from mailsrv.receive.dnsbl import Standing
from mailsrv.receive.house import House, Peer
from mailsrv.smtp.events import Kind
from mailsrv.system.scratch import Scratch
from mailsrv.system.tls import TlsInfo


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found and decided about one message."""

    findings: Findings
    verdict: Verdict


class Transaction:
    """One MAIL to the end of its message.

    `asked`: (forward-path, rule that answered, accounts it stands for, refusing reply or None) of each RCPT, in order.
    `forward_paths`: (forward-path, accounts) of those that were taken. `recipients`: what they became, each account and
    each remote address once. `quotas`: octets that the configuration allows each account, 0 for any number. `rules`:
    (stage, rule, input, result) of every other rule that was asked. `fault`: why the message cannot be kept. `exempt`:
    whether neither lists nor greylisting apply to its recipients, None before the first is asked about (greylist.py).
    `ask`: the way to the DNS, within the message's budget. `judged`: what receive/checks found and decided. `mailbox`:
    where accounts get it, "" for INBOX. `is_report`: it may be a report for us.
    """

    __slots__ = (
        "accounts", "ask", "asked", "delivered", "exempt", "fault", "forward_paths", "id", "is_report", "judged",
        "mailbox", "parameters", "queued", "quotas", "recipients", "remote", "reverse_path", "rules", "scratch",
        "started",
    )

    def __init__(self, id: str, started: float, reverse_path: ReversePath, parameters: MailParameters) -> None:
        self.id = id
        self.started = started
        self.reverse_path = reverse_path
        self.parameters = parameters
        self.asked: list[tuple[Address, str, tuple[str, ...], Reply | None]] = []
        self.forward_paths: list[tuple[Address, tuple[str, ...]]] = []
        self.recipients: list[Recipient] = []
        self.accounts: set[str] = set()
        self.remote: set[str] = set()
        self.quotas: dict[str, int] = {}
        self.rules: list[tuple[str, str, Any, str]] = []
        self.scratch: Scratch | None = None
        self.fault: Reply | None = None
        self.exempt: bool | None = None
        self.delivered: list[str] = []
        self.queued: list[str] = []
        self.ask: Ask | None = None
        self.judged: Judged | None = None
        self.mailbox = ""
        self.is_report = False

    def close(self) -> None:
        """Give back what the message occupies."""
        if self.scratch is not None:
            self.scratch.close()
            self.scratch = None


class State:
    """One session. `sequence` numbers its transactions, `messages` counts those that were accepted; `stamps` keeps the
    unchanging part of Received fields until greeting, TLS or login change it. `standing` is what DNS lists say of the
    client, None before they are asked."""

    __slots__ = (
        "account", "extended", "helo", "house", "messages", "peer", "sequence", "stamps", "standing", "tls",
        "transaction",
    )

    def __init__(self, peer: Peer, house: House) -> None:
        self.peer = peer
        self.house = house
        self.tls: TlsInfo | None = peer.tls
        self.helo = ""
        self.extended = False
        self.account = ""
        self.transaction: Transaction | None = None
        self.messages = 0
        self.sequence = 0
        self.stamps: dict[bool, bytes] = {}
        self.standing: Standing | None = None

    @property
    def is_lmtp(self) -> bool:
        """Whether replies come per recipient and nothing is queued."""
        return self.peer.kind is Kind.LMTP

    @property
    def is_submission(self) -> bool:
        """Whether clients of this listener must log in and their messages are completed (RFC 6409)."""
        return self.peer.kind in _SUBMISSION

    @property
    def tls_text(self) -> str:
        """TLS version and cipher as `TLS1.3 TLS_AES_256_GCM_SHA384`, "" without TLS."""
        tls = self.tls
        return f"{tls.version.replace('TLSv', 'TLS')} {tls.cipher}" if tls else ""

    def identity_changed(self) -> None:
        """Greeting, TLS or login changed what trace fields say."""
        self.stamps.clear()


_SUBMISSION = frozenset({Kind.SUBMISSION, Kind.SUBMISSIONS})
