"""`sendmail -bs`: SMTP on standard input and output for a local program, with the server's own protocol core.

There is no TLS and no login: who may run this program may send. Each message goes the same way as one that is given
without -bs (RFC 5321; the dialogue is the core's).

Diagnostics: raises nothing that the program causes; errors of its messages are replies.
"""

from collections.abc import Callable

from mailsrv.cli.sendmail_ways import Way
from mailsrv.errors import Exit, GrammarError, MailsrvError
from mailsrv.mail.envelope import DsnRequest, MailParameters, ReversePath
from mailsrv.mail.reply import Reply
from mailsrv.receive.handover import NoSuchUser
from mailsrv.smtp import events
from mailsrv.smtp.events import Event, FramingFault, Kind, Limits, Need, Offer
from mailsrv.smtp.session import ServerSession
from mailsrv.spool.drop import Request

_OK = Reply(250, "2.0.0", "ok")
_UNKNOWN = Reply(550, "5.1.1", "no such user")
_ANSWERS: dict[type, Reply] = {
    events.Reset: _OK,
    events.Quit: Reply(221, "2.0.0", "bye"),
    events.StartTls: Reply(454, "4.7.0", "TLS is not available"),
}


class LocalSession:
    """One session. `read` gives octets as they come, b"" at the end; `write` sends at once."""

    def __init__(self, way: Way, read: Callable[[], bytes], write: Callable[[bytes], None]) -> None:
        self._way = way
        self._read = read
        self._write = write
        self._core = ServerSession(Kind.SMTP, way.hostname, "", Limits(message_size=way.limit), Offer())
        self._sender: ReversePath = None
        self._parameters = MailParameters()
        self._recipients: list[str] = []
        self._dsn = DsnRequest()
        self._chunks: list[bytes] = []

    def run(self) -> int:
        """To the end; 0."""
        core = self._core
        while True:
            event = core.next_event()
            if isinstance(event, Need):
                if out := core.data_to_send():
                    self._write(out)
                octets = self._read()
                if octets:
                    core.receive_data(octets)
                else:
                    core.eof()
            elif isinstance(event, events.Closed | FramingFault):
                if out := core.data_to_send():
                    self._write(out)
                return Exit.OK
            elif isinstance(event, events.DataChunk):
                self._chunks.append(event.octets)
            else:
                core.answer(self._answer(event))

    def _answer(self, event: Event) -> Reply:
        match event:
            case events.Connected():
                return Reply(220, "", f"{self._way.hostname} ESMTP ready")
            case events.Hello():
                return Reply(250, "", self._way.hostname)
            case events.Mail():
                self._sender, self._parameters, self._recipients = event.reverse_path, event.parameters, []
                return Reply(250, "2.1.0", "sender ok")
            case events.Rcpt():
                if event.forward_path.domain and not self._way.knows(event.forward_path):
                    return _UNKNOWN
                path = event.forward_path
                self._recipients.append(str(path) if path.domain else path.local_part)
                self._dsn = event.dsn
                return Reply(250, "2.1.5", "recipient ok")
            case events.DataStart():
                self._chunks = []
                return Reply(250, "2.0.0", "go on") if event.chunking else Reply(354, "", "end with <CRLF>.<CRLF>")
            case events.DataEnd():
                return event.fault or self._send()
        return _ANSWERS.get(type(event), Reply(502, "5.5.1", "not here"))

    def _send(self) -> Reply:
        request = Request(
            tuple(self._recipients), str(self._sender) if self._sender is not None else "<>",
            notify=self._dsn.notify, ret=self._parameters.ret, envid=self._parameters.envid,
        )  # fmt: skip
        try:
            identifier = self._way.send(request, b"".join(self._chunks))
        except NoSuchUser as error:
            return Reply(550, "5.1.1", str(error))
        except GrammarError as error:
            return Reply(554, "5.6.0", str(error))
        except MailsrvError as error:
            return Reply(451, "4.3.0", str(error))
        finally:
            self._chunks = []
        return Reply(250, "2.0.0", f"accepted as {identifier}")
