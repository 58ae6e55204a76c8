"""A mail server on loopback that behaves as a test says: it refuses, defers, lies, stalls, hangs up, and records what
it accepted.

    with FakeMx(Behaviour(rcpt=(("^no@", "550 5.1.1 no such user"),))) as mx:
        ... deliver to mx.address, mx.port ...
        message = mx.wait_for(1)[0]

Each connection follows one Behaviour: the first connection the first one, and so on; the last one repeats.

Phases, as words for `replies`, `silent_at` and `close_at`: connect, ehlo, helo, starttls, auth, mail, rcpt, data (the
354), body (while the message comes), end (the message is there), rset, quit.
"""

import base64
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

OFFERS = ("PIPELINING", "SIZE 10485760", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES")
DEADLINE = 20.0  # seconds; far more than anything takes, so that a loaded machine does not fail a test
_PATH = re.compile(rb"(?i)(?:FROM|TO): *<((?:\"(?:\\.|[^\"])*\"|[^\">])*)> *(.*)", re.DOTALL)


@dataclass(frozen=True)
class Behaviour:
    """What a connection meets. Replies are written without line end, lines of one reply joined by a line feed.

    `rcpt`: pairs of a pattern (searched in the address) and the reply; the first that matches answers. `denies`: what
    is offered and nevertheless refused (CHUNKING: 502 and the message is read as commands; DSN, SIZE, 8BITMIME: 555 to
    the parameters; STARTTLS: 454). `starttls`: absent, works, or broken (220, no TLS). `most_recipients`: then 452.
    `padding`: replies' lines are filled up to so many octets. `drip`: seconds between two octets of a reply. `login`: a
    name and a password that AUTH PLAIN and LOGIN take.
    """

    replies: Mapping[str, str] = field(default_factory=dict)
    rcpt: tuple[tuple[str, str], ...] = ()
    silent_at: str = ""
    close_at: str = ""
    offers: tuple[str, ...] = OFFERS
    denies: frozenset[str] = frozenset()
    helo_only: bool = False
    starttls: str = "absent"
    implicit_tls: bool = False
    most_recipients: int = 0
    line_end: str = "\r\n"
    padding: int = 0
    drip: float = 0.0
    lmtp: bool = False
    login: tuple[str, str] | None = None


@dataclass
class Message:
    """What was accepted (or, in `FakeMx.unanswered`, received whole and then not answered)."""

    reverse_path: str
    mail_parameters: str
    recipients: list[str] = field(default_factory=list)
    rcpt_parameters: list[str] = field(default_factory=list)
    octets: bytes = b""
    chunked: bool = False
    tls: bool = False
    hello: str = ""
    account: str = ""
    connection: int = 0  # number of the connection, from 1 on
    at: float = 0.0  # monotonic seconds


class _HangUp(Exception):
    """The connection is to be closed; `abruptly`: even if that costs the client replies that it has not read."""

    def __init__(self, abruptly: bool = False) -> None:
        super().__init__()
        self.abruptly = abruptly


class FakeMx:
    """The server: `address` and `port` (or `path` of a unix socket), `accepted`, `unanswered`, `commands` (every line
    that was read as one), `connections` (how many there were), `most_open` (how many at once)."""

    def __init__(
        self,
        *behaviours: Behaviour,
        address: str = "127.0.0.1",
        port: int = 0,
        path: str = "",
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self.accepted: list[Message] = []
        self.unanswered: list[Message] = []
        self.commands: list[str] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.address = address
        self.path = path
        self._behaviours = behaviours or (Behaviour(),)
        self._since = 0  # connections before the present behaviours were set
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        if path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
        else:
            self._listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((address, port))
        self.port: int = 0 if path else self._listener.getsockname()[1]
        self._listener.listen(256)
        self._start(self._accept)

    def __enter__(self) -> "FakeMx":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def behave(self, *behaviours: Behaviour) -> None:
        """From the next connection on, behave like this."""
        with self._changed:
            self._behaviours = behaviours
            self._since = self.connections

    def wait_for(self, count: int, deadline: float = DEADLINE) -> list[Message]:
        """Wait until so many messages were accepted; give them all."""
        self.wait_until(lambda: len(self.accepted) >= count, f"{count} accepted messages", deadline)
        return list(self.accepted)

    def wait_until(self, look, what: str, deadline: float = DEADLINE) -> None:
        """Wait until something is true of the attributes."""
        with self._changed:
            assert self._changed.wait_for(look, deadline), f"did not happen within {deadline} s: {what}"

    def close(self) -> None:
        """Stop listening, end every connection, wait for the threads."""
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            for connection in self._sockets:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE)

    def _start(self, function, *arguments) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.connections += 1
                at = min(self.connections - self._since, len(self._behaviours)) - 1
                behaviour, number = self._behaviours[at], self.connections
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                self._sockets.add(connection)
                self._changed.notify_all()
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._start(self._serve, connection, behaviour, number)

    def _serve(self, connection: socket.socket, behaviour: Behaviour, number: int) -> None:
        dialogue = _Dialogue(self, connection, behaviour, number)
        with suppress(OSError):
            try:
                dialogue.run()
            except _HangUp as end:
                dialogue.end(abruptly=end.abruptly)
        with self._changed:
            self._sockets.discard(connection)
            self.open -= 1
            self._changed.notify_all()
        with suppress(OSError):
            dialogue.connection.close()
        connection.close()

    # For dialogues

    def secure(self, connection: socket.socket) -> ssl.SSLSocket:
        """Shake hands as the server."""
        assert self._context is not None, "FakeMx needs a certificate for TLS"
        tls = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._changed:
            self._sockets.discard(connection)
            self._sockets.add(tls)
        tls.do_handshake()
        return tls

    def hold(self, connection: socket.socket | None) -> None:
        """Do nothing until the client or the test has enough; without a connection not even read."""
        if connection is None:
            self._stop.wait()
        else:
            while connection.recv(65536):
                pass

    def pause(self, seconds: float) -> None:
        """Wait, unless the test is over."""
        if self._stop.wait(seconds):
            raise _HangUp

    def record(self, box: list, item: object) -> None:
        """Append to one of the lists."""
        with self._changed:
            box.append(item)
            self._changed.notify_all()


class _Dialogue:
    """One connection."""

    def __init__(self, mx: FakeMx, connection: socket.socket, behaviour: Behaviour, number: int) -> None:
        self.mx = mx
        self.connection = connection
        self.behaviour = behaviour
        self.number = number
        self.buffer = b""
        self.message: Message | None = None
        self.chunks = b""
        self.hello = ""
        self.account = ""
        self.tls = False

    def run(self) -> None:
        if self.behaviour.implicit_tls:
            self.connection, self.tls = self.mx.secure(self.connection), True
        code = self.react("connect", "220 mx.fake.example ESMTP")
        while True:
            line = self.read_line()
            if line is None:
                return
            self.mx.record(self.mx.commands, line.decode("utf-8", "replace"))
            verb, _, argument = line.partition(b" ")
            name = verb.upper().decode("latin-1")
            command = _COMMANDS.get(name)
            if code >= 400 and name != "QUIT":
                self.send("503 5.5.1 you were refused")
            elif command is None:
                self.send("500 5.5.2 no such command")
            else:
                command(self, argument)

    def end(self, abruptly: bool) -> None:
        """Close. What the client still sends is read first: otherwise the kernel would throw away our replies."""
        if not abruptly:
            self.connection.shutdown(socket.SHUT_WR)
            self.mx.hold(self.connection)

    # Octets

    def receive(self) -> bool:
        octets = self.connection.recv(262144)
        self.buffer += octets
        return bool(octets)

    def read_line(self) -> bytes | None:
        while b"\n" not in self.buffer:
            if not self.receive():
                return None
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.removesuffix(b"\r")

    def read(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self.receive():
                raise _HangUp
        octets, self.buffer = self.buffer[:count], self.buffer[count:]
        return octets

    def send(self, reply: str) -> None:
        lines = reply.split("\n")
        text = ""
        for at, line in enumerate(lines):
            if self.behaviour.padding:
                line = f"{line} ".ljust(self.behaviour.padding, "x")
            text += f"{line[:3]}{'-' if at < len(lines) - 1 else ' '}{line[4:]}{self.behaviour.line_end}"
        octets = text.encode()
        if not self.behaviour.drip:
            self.connection.sendall(octets)
        for octet in octets if self.behaviour.drip else b"":
            self.connection.sendall(bytes((octet,)))
            self.mx.pause(self.behaviour.drip)

    def react(self, phase: str, reply: str) -> int:
        """Do in a phase what the behaviour says; give the code that was sent."""
        if self.behaviour.close_at == phase:
            raise _HangUp
        if self.behaviour.silent_at == phase:
            self.mx.hold(self.connection)
            raise _HangUp
        reply = self.behaviour.replies.get(phase, reply)
        self.send(reply)
        if reply.startswith("421"):
            raise _HangUp
        return int(reply[:3])

    # Commands

    def on_ehlo(self, argument: bytes) -> None:
        if self.behaviour.helo_only:
            self.send("502 5.5.1 not implemented")
            return
        offers = list(self.behaviour.offers)
        if self.behaviour.starttls != "absent" and not self.tls:
            offers.append("STARTTLS")
        if self.behaviour.login:
            offers.append("AUTH PLAIN LOGIN")
        self.hello, self.message = argument.decode(), None
        self.react("ehlo", "\n".join(f"250 {word}" for word in ("mx.fake.example", *offers)))

    def on_helo(self, argument: bytes) -> None:
        self.hello, self.message = argument.decode(), None
        self.react("helo", "250 mx.fake.example")

    def on_starttls(self, argument: bytes) -> None:
        denied = "STARTTLS" in self.behaviour.denies
        if self.react("starttls", "454 4.7.0 not now" if denied else "220 2.0.0 go") != 220:
            return
        if self.behaviour.starttls == "broken":
            self.connection.sendall(b"this is no TLS at all\r\n")
            raise _HangUp
        self.buffer, self.hello = b"", ""
        self.connection, self.tls = self.mx.secure(self.connection), True

    def on_auth(self, argument: bytes) -> None:
        words = argument.split()
        if words[0].upper() == b"PLAIN":
            response = words[1] if len(words) > 1 else self.ask("")
            _, name, password = base64.b64decode(response).split(b"\0")
        else:
            name = base64.b64decode(self.ask("Username:"))
            password = base64.b64decode(self.ask("Password:"))
        if (name.decode(), password.decode()) == self.behaviour.login:
            self.account = name.decode()
            self.react("auth", "235 2.7.0 welcome")
        else:
            self.react("auth", "535 5.7.8 wrong")

    def ask(self, question: str) -> bytes:
        self.send("334 " + base64.b64encode(question.encode()).decode())
        answer = self.read_line()
        if answer is None:
            raise _HangUp
        return answer

    def on_mail(self, argument: bytes) -> None:
        match = _PATH.fullmatch(argument)
        if match is None or self.message is not None or not self.hello:
            self.send("503 5.5.1 no" if match else "501 5.5.4 no")
            return
        path, parameters = match[1].decode(), match[2].decode()
        denied = self.is_denied(parameters, {"SIZE": "SIZE", "DSN": "RET|ENVID", "8BITMIME": "BODY"})
        if self.react("mail", "555 5.5.4 no" if denied else "250 2.1.0 ok") < 300:
            self.message = Message(path, parameters, connection=self.number)
            self.chunks = b""

    def on_rcpt(self, argument: bytes) -> None:
        match = _PATH.fullmatch(argument)
        if match is None or self.message is None:
            self.send("503 5.5.1 no" if match else "501 5.5.4 no")
            return
        path, parameters = match[1].decode(), match[2].decode()
        reply = next((answer for pattern, answer in self.behaviour.rcpt if re.search(pattern, path)), "250 2.1.5 ok")
        if self.is_denied(parameters, {"DSN": "NOTIFY|ORCPT"}):
            reply = "555 5.5.4 no"
        elif self.behaviour.most_recipients and len(self.message.recipients) >= self.behaviour.most_recipients:
            reply = "452 4.5.3 too many recipients"
        if self.react("rcpt", reply) < 300:
            self.message.recipients.append(path)
            self.message.rcpt_parameters.append(parameters)

    def is_denied(self, parameters: str, table: dict[str, str]) -> bool:
        return any(
            keyword in self.behaviour.denies and re.search(rf"(?i)\b({words})=", parameters)
            for keyword, words in table.items()
        )

    def on_data(self, argument: bytes) -> None:
        if self.message is None or not self.message.recipients:
            self.send("503 5.5.1 no recipients")
            return
        if self.react("data", "354 go") != 354:
            return
        self.stall()
        text = b"\r\n" + self.buffer
        while (end := text.find(b"\r\n.\r\n")) < 0:
            octets = self.connection.recv(262144)
            if not octets:
                raise _HangUp
            text += octets
        self.buffer = text[end + 5 :]
        self.take(text[: end + 2].replace(b"\r\n.", b"\r\n")[2:], chunked=False)

    def on_bdat(self, argument: bytes) -> None:
        if "CHUNKING" in self.behaviour.denies:
            self.send("502 5.5.1 what is BDAT")
            return
        words = argument.split()
        self.stall()
        octets = self.read(int(words[0]))
        if self.message is None or not self.message.recipients:
            self.send("503 5.5.1 no recipients")
            return
        self.chunks += octets
        if len(words) > 1:
            self.take(self.chunks, chunked=True)
        else:
            self.send("250 2.0.0 more")

    def stall(self) -> None:
        """What may happen while the message comes."""
        if self.behaviour.close_at == "body":
            if not self.buffer:
                self.receive()
            raise _HangUp(abruptly=True)
        if self.behaviour.silent_at == "body":
            self.mx.hold(None)
            raise _HangUp

    def take(self, octets: bytes, chunked: bool) -> None:
        """The message is there: answer it and record it."""
        message, self.message = self.message, None
        assert message is not None
        message.octets, message.chunked, message.tls = octets, chunked, self.tls
        message.hello, message.account, message.at = self.hello, self.account, time.monotonic()
        if "end" in (self.behaviour.close_at, self.behaviour.silent_at):
            self.mx.record(self.mx.unanswered, message)
            self.react("end", "")
        positive = self.behaviour.replies.get("end", "250").startswith("2")
        if positive:  # recorded before the reply, so that whoever has seen the reply finds it
            self.mx.record(self.mx.accepted, message)
        for _ in message.recipients if self.behaviour.lmtp else (0,):
            self.react("end", "250 2.0.0 taken")

    def on_rset(self, argument: bytes) -> None:
        self.message = None
        self.react("rset", "250 2.0.0 ok")

    def on_noop(self, argument: bytes) -> None:
        self.send("250 2.0.0 ok")

    def on_quit(self, argument: bytes) -> None:
        self.react("quit", "221 2.0.0 bye")
        raise _HangUp


_COMMANDS = {
    "EHLO": _Dialogue.on_ehlo,
    "LHLO": _Dialogue.on_ehlo,
    "HELO": _Dialogue.on_helo,
    "STARTTLS": _Dialogue.on_starttls,
    "AUTH": _Dialogue.on_auth,
    "MAIL": _Dialogue.on_mail,
    "RCPT": _Dialogue.on_rcpt,
    "DATA": _Dialogue.on_data,
    "BDAT": _Dialogue.on_bdat,
    "RSET": _Dialogue.on_rset,
    "NOOP": _Dialogue.on_noop,
    "QUIT": _Dialogue.on_quit,
}
