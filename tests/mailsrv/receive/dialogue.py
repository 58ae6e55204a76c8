"""The real protocol core and a Conversation joined without sockets: text in, replies out."""

from mailsrv.mail.reply import Reply
from mailsrv.receive.connection import Conversation
from mailsrv.smtp.events import Kind, Limits, Need, Offer
from mailsrv.smtp.session import ServerSession
from mailsrv.system.tls import TlsInfo
from tests.mailsrv.receive.fakes import make_conversation


class Dialogue:
    """One session; `say` gives the client's octets and returns the lines that come back."""

    def __init__(self, house, kind: Kind = Kind.SMTP, tls: TlsInfo | None = None, limits: Limits | None = None, **peer):
        self.house = house
        self.talk: Conversation = make_conversation(house, kind, tls=tls, **peer)
        offer: Offer = self.talk.offer()
        self.core = ServerSession(
            kind, house.config.hostname, "SESSION", limits or Limits(), offer, tls=tls is not None
        )
        self.greeting = self._run()

    def say(self, *lines: str | bytes) -> list[str]:
        """Send lines (CRLF is added); gives the reply lines."""
        octets = b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines)
        self.core.receive_data(octets)
        return self._run()

    def hello(self) -> list[str]:
        """LHLO or EHLO."""
        return self.say("LHLO client.example" if self.talk._state.is_lmtp else "EHLO client.example")

    def send(self, message: bytes, sender: str = "author@far.example", *recipients: str) -> list[str]:
        """A whole transaction; gives the replies after 354."""
        recipients = recipients or ("alice@example.org",)
        replies = self.say(f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{one}>" for one in recipients), "DATA")
        assert replies[-1].startswith("354"), replies
        return self.say(message + b".")

    def start_tls(self, info: TlsInfo) -> None:
        """Do what the pump does once the handshake is over."""
        assert self.core.wants_tls
        self.talk.tls_started(info)
        self.core.tls_started(self.talk.offer())

    def _run(self) -> list[str]:
        while not isinstance(event := self.core.next_event(), Need):
            reply: Reply | list[Reply] | None = self.talk.answer(event)
            if reply is not None:
                self.core.answer(reply)
            self.core.offer = self.talk.offer()
            if self.core.closed:
                break
        return self.core.data_to_send().decode().split("\r\n")[:-1]
