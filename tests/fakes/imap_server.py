"""A small IMAP server on loopback, of which a test says what lies in it and when it breaks."""

import base64
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field

SECONDS = 20.0


@dataclass
class FakeMailbox:
    """`messages`: by UID (flags, INTERNALDATE, octets); octets None: the server cannot give them."""

    messages: dict[int, tuple[str, str, bytes | None]] = field(default_factory=dict)
    attributes: str = ""
    validity: int = 7
    delimiter: str = "/"


class FakeImapServer:
    """Serves `mailboxes` (by name on the wire) to alice with `password`. Each number in `breaks` is how many commands
    a connection lives, one after another; then they live on. `said` has every command."""

    def __init__(self, mailboxes, capabilities="IMAP4rev1 AUTH=PLAIN", password="secret", breaks=(), namespace=""):
        self.mailboxes = mailboxes
        self.capabilities = capabilities
        self.password = password
        self.breaks = list(breaks)
        self.namespace = namespace
        self.answers: dict[str, bytes] = {}  # verb -> what is said instead
        self.said: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS)
        for thread in self._threads:
            thread.join(SECONDS)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(SECONDS)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        left = self.breaks.pop(0) if self.breaks else 1 << 30
        selected = None
        with suppress(OSError), connection, connection.makefile("rwb") as file:
            file.write(f"* OK [CAPABILITY {self.capabilities}] hello\r\n".encode())
            file.flush()
            while line := file.readline():
                left -= 1
                if left < 0:
                    return
                tag, _, text = line.decode("latin-1").rstrip("\r\n").partition(" ")
                self.said.append(text)
                verb = text.split(" ")[0].upper()
                if verb in self.answers:
                    file.write(self.answers[verb].replace(b"TAG", tag.encode()))
                elif verb == "AUTHENTICATE":
                    file.write(b"+ \r\n")
                    file.flush()
                    given = base64.b64decode(file.readline()).decode().split("\0")
                    self._end(file, tag, given == ["", "alice", self.password])
                elif verb == "LOGIN":
                    self._end(file, tag, text == f'LOGIN alice "{self.password}"')
                elif verb in ("EXAMINE", "STATUS"):
                    selected = self._look(file, tag, text)
                else:
                    self._answer(file, tag, text, selected)
                file.flush()
                if verb == "LOGOUT":
                    return

    def _end(self, file, tag, ok):
        file.write(f"{tag} OK done\r\n".encode() if ok else f"{tag} NO [AUTHENTICATIONFAILED] not so\r\n".encode())

    def _look(self, file, tag, text):
        verb, _, rest = text.partition(" ")
        name = re.match(r'"((?:[^"\\]|\\.)*)"', rest)[1].replace('\\"', '"')
        box = self.mailboxes.get(name)
        if box is not None and verb == "STATUS":
            file.write(f'* STATUS "{name}" (MESSAGES {len(box.messages)})\r\n'.encode())
        elif box is not None:
            file.write(f"* {len(box.messages)} EXISTS\r\n* OK [UIDVALIDITY {box.validity}] it\r\n".encode())
        self._end(file, tag, box is not None)
        return box

    def _answer(self, file, tag, text, selected):
        verb = text.split(" ")[0].upper()
        if verb == "CAPABILITY":
            file.write(f"* CAPABILITY {self.capabilities}\r\n".encode())
        elif verb == "NAMESPACE":
            file.write(f"* NAMESPACE {self.namespace}\r\n".encode())
        elif verb in ("LIST", "LSUB"):
            for name, box in self.mailboxes.items():
                if verb == "LIST" or "\\Subscribed" in box.attributes:
                    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
                    file.write(f'* {verb} ({box.attributes}) "{box.delimiter}" "{quoted}"\r\n'.encode())
        elif verb == "FETCH":
            first, last = map(int, text.split(" ")[1].split(":"))
            for number, uid in enumerate(sorted(selected.messages), 1):
                if first <= number <= last:
                    flags, date, octets = selected.messages[uid]
                    file.write(
                        f'* {number} FETCH (UID {uid} FLAGS ({flags}) INTERNALDATE "{date}"'
                        f" RFC822.SIZE {len(octets or b'xxx')})\r\n".encode()
                    )
        elif verb == "UID":
            self._bodies(file, tag, text, selected)
            return
        self._end(file, tag, True)

    def _bodies(self, file, tag, text, selected):
        _, _, uids, item = text.split(" ", 3)
        part = re.search(r"<(\d+)\.(\d+)>", item)
        ok = True
        for uid in map(int, uids.split(",")):
            octets = selected.messages[uid][2]
            if octets is None:
                ok = False
                continue
            label = "BODY[]"
            if part:
                octets = octets[int(part[1]) : int(part[1]) + int(part[2])]
                label = f"BODY[]<{part[1]}>"
            file.write(f"* 1 FETCH (UID {uid} {label} {{{len(octets)}}}\r\n".encode() + octets + b")\r\n")
        self._end(file, tag, ok)
