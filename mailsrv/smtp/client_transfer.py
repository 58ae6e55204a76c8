"""The course of one transaction on the client's side: MAIL, RCPT, then DATA or BDAT, and an Answer for each recipient
(RFC 5321 section 3.3, RFC 2920, RFC 3030, RFC 2033).

With PIPELINING the whole envelope and DATA leave together, so DATA may be answered 354 though nobody is to get the
message: then a lone dot goes out (RFC 2920 section 3.1). With CHUNKING a small message leaves with its envelope, in one
round trip; of a big one only BDAT's round trip is saved, and nothing is sent to a server that wants none of its
recipients. LMTP always uses DATA: there is no distance to be saved.

Diagnostics: handlers raise ReplyFault for a reply that cannot be there.
"""

from enum import Enum

from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_body import DotStuffer
from mailsrv.smtp.client_capabilities import Capabilities
from mailsrv.smtp.client_envelope import Commands, write_commands
from mailsrv.smtp.client_events import Answer, Phase, Stage, Transaction
from mailsrv.smtp.client_exchange import WINDOW, Exchange
from mailsrv.smtp.client_replies import ReplyFault

# Octets of a message that is sent with its envelope: at most this much is wasted when the server wants no recipient.
SMALL = 65536

# To BDAT: the server does not know what it offered, and has taken the message for commands.
_UNKNOWN_COMMAND = frozenset({500, 502})
# To a parameter: not known, or not done (RFC 5321 section 4.1.1.11); some say 501 or 504.
_UNKNOWN_PARAMETER = frozenset({501, 504, 555})


class _Course(Enum):
    """How far the transaction is."""

    ENVELOPE = "commands are answered"
    BODY = "the driver gives the message"
    END = "the message is sent, its reply is awaited"
    VOID = "a lone dot is sent, its reply means nothing"
    DONE = "every recipient has its answer"


class Transfer:
    """One transaction. The session looks at the attributes after each step.

    `lies`: keywords that the server offered and does not know. `needs_reset`: RSET must come before the next
    transaction. `wants_body` is set when the driver is to be asked for the message. `ruin`: why the connection cannot
    be used further, "" when it can.
    """

    __slots__ = (
        "_accepted", "_answered", "_answers", "_chunk", "_commands", "_course", "_ended", "_exchange", "_left", "_lmtp",
        "_open", "_stuffer", "_transaction", "lies", "needs_reset", "ruin", "wants_body",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, transaction: Transaction, capabilities: Capabilities, lmtp: bool) -> None:
        self.lies: set[str] = set()
        self.needs_reset = False
        self.wants_body = False
        self.ruin = ""
        self._exchange = exchange
        self._transaction = transaction
        self._lmtp = lmtp
        self._commands: Commands = write_commands(transaction, capabilities)
        self._answers: dict[int, Answer] = dict(self._commands.refused)
        self._accepted: list[int] = []  # whose RCPT was accepted, in order
        self._open = False  # MAIL was accepted
        self._course = _Course.ENVELOPE
        self._stuffer = DotStuffer()
        self._answered = False  # the chunk has its reply
        self._ended = 0  # LMTP: how many of the accepted have their replies to the message
        self._left = transaction.size  # octets of the chunk that the driver has not given
        self._chunk = "CHUNKING" in capabilities and not lmtp

    @property
    def is_empty(self) -> bool:
        """True when nothing is to be sent: no recipient can get the message here."""
        return not self._commands.recipients

    @property
    def is_done(self) -> bool:
        """True when there is nothing more to send or to wait for."""
        return self._course is _Course.DONE

    @property
    def takes_body(self) -> bool:
        """True while the driver gives the message."""
        return self._course is _Course.BODY

    @property
    def answers(self) -> tuple[Answer, ...]:
        """One for each recipient, when done."""
        return tuple([self._answers[index] for index in range(len(self._transaction.recipients))])

    # What the session calls

    def start(self) -> None:
        """Send the envelope, and what may go with it."""
        exchange, commands = self._exchange, self._commands
        if self.is_empty:
            self._course = _Course.DONE
            return
        exchange.put(commands.mail, Phase.MAIL, self._on_mail)
        for index, command in commands.recipients:
            exchange.put(command, Phase.RCPT, _Rcpt(self, index))
        if not exchange.pipelining:
            return
        if not self._chunk:
            exchange.put(b"DATA\r\n", Phase.DATA_INIT, self._on_data)
        elif self._transaction.size <= SMALL and len(commands.recipients) + 3 <= WINDOW:
            self._start_chunk()

    def proceed(self) -> None:
        """Go on when the envelope is answered, after each reply."""
        if self._course is not _Course.ENVELOPE or not self._exchange.is_idle:
            return
        if not self._accepted:
            self.needs_reset = self._open
            self._course = _Course.DONE
        elif self._chunk:
            self._start_chunk()
        else:
            self._exchange.put(b"DATA\r\n", Phase.DATA_INIT, self._on_data)

    def give(self, block: bytes) -> None:
        """Octets of the message."""
        if self._chunk:
            self._left -= len(block)
            if self._left < 0:
                raise ValueError("the message is longer than the transaction says")
            self._exchange.send(block)
        else:
            self._exchange.send(self._stuffer.feed(block))

    def give_end(self) -> None:
        """The message is complete."""
        if self._chunk:
            if self._left:
                raise ValueError("the message is shorter than the transaction says")
        else:
            self._exchange.send(self._stuffer.end())
            self._exchange.expect(Phase.DATA_END, self._on_end)
        self._course = _Course.DONE if self._answered else _Course.END

    def interrupt(self, reply: Reply, *, by_peer: bool) -> None:
        """The connection ends: `reply` answers every recipient that has no answer yet. A reply of the host after the
        whole message leaves no doubt; the lack of one does."""
        doubtful = not by_peer and self._course is _Course.END
        phase = self._exchange.phase
        stage = Stage.END if phase is Phase.IDLE and self._course is not _Course.ENVELOPE else _STAGES[phase]
        answer = Answer(reply, stage, by_peer=by_peer, doubtful=doubtful)
        for index in range(len(self._transaction.recipients)):
            self._answers.setdefault(index, answer)
        self._course = _Course.DONE

    def take_early(self, reply: Reply) -> None:
        """A reply to a message that is not complete yet: the server has seen enough, and what it would make of the rest
        cannot be known."""
        if reply.code < 400:
            raise ReplyFault(f"the server accepted a message that was not complete: {reply}")
        self._settle(self._accepted, reply, Stage.END)
        self.ruin = f"the server answered before the message was complete: {reply}"
        self._course = _Course.DONE

    # Replies

    def _on_mail(self, reply: Reply) -> None:
        if reply.code < 300:
            self._open = True
            return
        _expect_refusal(reply, "MAIL")
        again = self._commands.mail_extras and reply.code in _UNKNOWN_PARAMETER
        if again:
            self.lies |= {"SIZE", "DSN"}
        for index, _ in self._commands.recipients:
            self._answers[index] = _misfit(reply, Stage.MAIL) if again else Answer(reply, Stage.MAIL)
        self._exchange.drop_unsent()

    def on_rcpt(self, index: int, reply: Reply) -> None:
        """The reply to one RCPT. 251 and 252 are as good as 250."""
        if index in self._answers:  # MAIL was refused, and so was this
            return
        if reply.code < 300:
            self._accepted.append(index)
            return
        _expect_refusal(reply, "RCPT")
        if reply.code == 552:  # RFC 5321 section 4.5.3.1.10: too many recipients, by servers after RFC 821
            reply = Reply(452, f"4{reply.enhanced[1:]}", reply.text)
        if reply.code == 555 and self._commands.rcpt_extras:
            self.lies.add("DSN")
            self._answers[index] = _misfit(reply, Stage.RCPT)
        else:
            self._answers[index] = Answer(reply, Stage.RCPT)

    def _on_data(self, reply: Reply) -> None:
        if reply.code >= 400:
            self._settle(self._accepted, reply, Stage.DATA)
            self.needs_reset = self._open
            self._course = _Course.DONE
        elif reply.code < 300:
            raise ReplyFault(f"the server answered DATA with {reply}")
        elif self._accepted:
            self._course = _Course.BODY
            self.wants_body = True
        elif self._lmtp:
            # No recipients, no replies to the message (RFC 2033 section 4.2): its end could not be seen.
            self.ruin = "the server wants a message for nobody"
            self._course = _Course.DONE
        else:
            self._exchange.send(b".\r\n")
            self._exchange.expect(Phase.DATA_END, self._on_void)
            self._course = _Course.VOID

    def _on_void(self, reply: Reply) -> None:
        self._course = _Course.DONE

    def _on_end(self, reply: Reply) -> None:
        _expect_no_intermediate(reply)
        if self._lmtp:
            # One reply for each accepted recipient, in order of RCPT (RFC 2033 section 4.2).
            self._answers[self._accepted[self._ended]] = Answer(reply, Stage.END)
            self._ended += 1
            if self._ended < len(self._accepted):
                self._exchange.expect(Phase.DATA_END, self._on_end)
                return
        else:
            self._settle(self._accepted, reply, Stage.END)
        self._course = _Course.DONE

    def _on_chunk(self, reply: Reply) -> None:
        _expect_no_intermediate(reply)
        if reply.code in _UNKNOWN_COMMAND and self._accepted:
            self.lies.add("CHUNKING")
            for index in self._accepted:
                self._answers[index] = _misfit(reply, Stage.DATA, again=False)
            self.ruin = f"the server does not know BDAT, which it offers: {reply}"
            self._course = _Course.DONE
        elif self._accepted and self._course is _Course.BODY:
            self.take_early(reply)
        else:
            self._settle(self._accepted, reply, Stage.END)
            self.needs_reset = reply.code >= 400  # RFC 3030 section 2: the state is indeterminate
            self._answered = True
            if self._course is _Course.END:  # else the rest of the chunk must follow, for nobody
                self._course = _Course.DONE

    def _start_chunk(self) -> None:
        self._exchange.put(b"BDAT %d LAST\r\n" % self._transaction.size, Phase.DATA_END, self._on_chunk)
        self._course = _Course.BODY
        self.wants_body = True

    def _settle(self, indexes: list[int], reply: Reply, stage: Stage) -> None:
        answer = Answer(reply, stage)
        for index in indexes:
            self._answers[index] = answer


class _Rcpt:
    """The handler of one RCPT's reply."""

    __slots__ = ("_index", "_transfer")

    def __init__(self, transfer: Transfer, index: int) -> None:
        self._transfer = transfer
        self._index = index

    def __call__(self, reply: Reply) -> None:
        self._transfer.on_rcpt(self._index, reply)


_STAGES = {
    Phase.MAIL: Stage.MAIL,
    Phase.RESET: Stage.MAIL,
    Phase.RCPT: Stage.RCPT,
    Phase.DATA_INIT: Stage.DATA,
    Phase.DATA_END: Stage.END,
    Phase.IDLE: Stage.DATA,
}


def _misfit(reply: Reply, stage: Stage, *, again: bool = True) -> Answer:
    """The server refused what it offers: that is no fault of the message, and another attempt will do without."""
    text = f"the host does not take what it offers: {reply}"
    return Answer(Reply(451, "4.5.0", text), stage, by_peer=False, again=again)


def _expect_refusal(reply: Reply, command: str) -> None:
    if reply.code < 400:
        raise ReplyFault(f"the server answered {command} with {reply}")


def _expect_no_intermediate(reply: Reply) -> None:
    if 300 <= reply.code < 400:
        raise ReplyFault(f"the server answered the message with {reply}")
