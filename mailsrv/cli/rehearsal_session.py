"""A rehearsal: one message sent to the server's own policy over its own protocol core, without a socket and without
delivery. There is no second copy of what decides: what comes out here is what a client would get.

Diagnostics: raises nothing but what a bug raises.
"""

import re
from dataclasses import dataclass

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import ReversePath
from mailsrv.receive.connection import Conversation
from mailsrv.receive.house import House, Peer
from mailsrv.serve.handler import core_limits
from mailsrv.smtp.events import Kind, Need
from mailsrv.smtp.session import ServerSession
from mailsrv.cli.rehearsal_house import DNSBL, SENDS_NOTHING
from mailsrv.cli.rehearsal_lookups import Transcript

ID = "TEST"  # has a vowel: no session and no message is called so

_FIRST_DOT = re.compile(rb"^\.", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a client would do: from `client` (an IP address), with this EHLO and envelope. `message` has CRLF line
    ends."""

    client: str
    helo: str
    reverse_path: ReversePath
    recipients: tuple[Address, ...]
    message: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the client said, and the lines of the reply."""

    command: str
    replies: tuple[str, ...]

    @property
    def reply(self) -> str:
        """The line that counts."""
        return self.replies[-1] if self.replies else ""

    @property
    def code(self) -> int:
        """Its first three digits; 421 for a session that ends without a word."""
        return int(self.reply[:3]) if self.reply[:3].isdigit() else 421


@dataclass(frozen=True, slots=True)
class Course:
    """How a session went. `outcome` is the reply that decided: to the message, or to what kept it from being sent.
    `verdict` is accept, defer or reject."""

    exchanges: tuple[Exchange, ...]
    outcome: str
    verdict: str


def rehearse(house: House, transcript: Transcript, attempt: Attempt) -> Course:
    """Hold the session to its end."""
    session = _Session(house, attempt.client)
    _go_on(session, transcript, attempt)
    session.end()
    decisive = session.exchanges[-1]
    recipients = [one for one in session.exchanges if one.command.startswith("RCPT ")]
    if decisive in recipients:
        # Nobody was accepted; one who may be tried again makes the client keep the message.
        decisive = next((one for one in recipients if one.code < 500), decisive)
    verdict = "accept" if decisive.code < 400 else "defer" if decisive.code < 500 else "reject"
    return Course(tuple(session.exchanges), decisive.reply, verdict)


def _go_on(session: "_Session", transcript: Transcript, attempt: Attempt) -> None:
    """As far as the replies let a client go."""
    path = attempt.reverse_path
    mail = f"MAIL FROM:<{path or ''}>{_parameters(attempt)}"
    if session.say("connect", b"") >= 400 or session.say_line(f"EHLO {attempt.helo}") >= 400:
        return
    transcript.check = SENDS_NOTHING
    if session.say_line(mail) >= 400:
        return
    transcript.check = DNSBL
    codes = [session.say_line(f"RCPT TO:<{one}>") for one in attempt.recipients]
    if min(codes) >= 400:
        return
    transcript.check = ""
    if session.say_line("DATA") == 354:
        stuffed = _FIRST_DOT.sub(b"..", attempt.message)
        session.say(f"message of {len(attempt.message)} octets", stuffed + b".\r\n")


def _parameters(attempt: Attempt) -> str:
    """What an honest client declares (RFC 1870, 6152, 6531)."""
    message = attempt.message
    words = f" SIZE={len(message)}"
    if not message.isascii():
        words += " BODY=8BITMIME"
    header = message.partition(b"\r\n\r\n")[0]
    paths = [attempt.reverse_path, *attempt.recipients]
    if not header.isascii() or not all(path is None or path.is_ascii for path in paths):
        words += " SMTPUTF8"
    return words


class _Session:
    """Core and policy, joined as the pump joins them."""

    def __init__(self, house: House, client: str) -> None:
        self.exchanges: list[Exchange] = []
        self._talk = Conversation(Peer(ID, Kind.SMTP, client), house)
        limits = core_limits(house.config.limits)
        self._core = ServerSession(Kind.SMTP, house.config.hostname, ID, limits, self._talk.offer())

    def say_line(self, line: str) -> int:
        """Send a command; gives the reply's code."""
        return self.say(line, line.encode() + b"\r\n")

    def say(self, command: str, octets: bytes) -> int:
        """Send octets that are told as `command`; gives the reply's code."""
        core = self._core
        core.receive_data(octets)
        while not core.closed and not isinstance(event := core.next_event(), Need):
            reply = self._talk.answer(event)
            if reply is not None:
                core.answer(reply)
            core.offer = self._talk.offer()
        replies = core.data_to_send().decode("utf-8", "replace").split("\r\n")[:-1]
        self.exchanges.append(Exchange(command, tuple(replies)))
        return self.exchanges[-1].code

    def end(self) -> None:
        """Give everything back."""
        self._talk.close("rehearsal")
