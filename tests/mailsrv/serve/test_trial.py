import os
import signal
import socket
import ssl
import threading

import pytest

from mailsrv.errors import Refused
from mailsrv.serve import trial
from mailsrv.serve.trial import LOOPBACK, Server, Submission, find_port, submit
from mailsrv.system.clock import SystemClock
from mailsrv.system.tls import make_self_signed
from tests.fakes.clock import FakeClock

MESSAGE = Submission("alice", "kfg6", "alice@example.test", "bob@example.test", b"Subject: x\r\n\r\n.dot\r\n")


def test_a_free_port_is_found_and_the_preferred_one_if_it_is_free():
    port = find_port()
    assert find_port(port) == port
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert find_port(taken) != taken
    assert find_port(port, frozenset({port})) != port


@pytest.fixture
def child(monkeypatch):
    """Starts a child with this program in the place of `mailsrv serve`."""
    servers = []

    def start(program, clock=None):
        monkeypatch.setattr(trial, "_PROGRAM", program)
        servers.append(Server("/etc/mailsrv.toml", clock or SystemClock()))
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


TELL = (
    "import os, signal, socket\n"
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "s.connect(os.environ['NOTIFY_SOCKET'].replace('@', '\\0'))\n"
)


def test_ready_is_what_the_server_tells_a_service_manager(child):
    server = child(TELL + "s.send(b'STATUS=starting')\ns.send(b'READY=1\\nSTATUS=x')\nsignal.pause()")
    server.wait_ready(30)


def test_arguments_and_process_group_of_the_child(child, tmp_path):
    out = tmp_path / "out"
    program = f"import os, sys; open({str(out)!r}, 'w').write(f'{{sys.argv[2:]}} {{os.getpgid(0) == os.getpid()}}')"
    server = child(program)
    assert server.stop(30) in (0, -signal.SIGTERM)
    server = child(program)
    with pytest.raises(Refused, match="ended with status 0 before it was ready"):
        server.wait_ready(30)
    assert out.read_text() == "['serve', '--config', '/etc/mailsrv.toml'] True"
    assert server.ended() == 0


def test_a_server_that_does_not_get_ready_is_told(child):
    clock = FakeClock()

    class Passing:
        """Each look takes a second of the fake clock."""

        @staticmethod
        def select(*_):
            clock.advance(1)
            return [], [], []

    server = child("import signal; signal.pause()", clock)
    real, trial.select = trial.select, Passing
    try:
        with pytest.raises(Refused, match="not ready after 5 s"):
            server.wait_ready(5)
    finally:
        trial.select = real


def test_who_does_not_end_is_killed(child):
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    server = child(deaf + TELL + "s.send(b'READY=1')\nwhile True: signal.pause()")
    server.wait_ready(30)
    assert server.stop(0.1) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


class Peer:
    """A server that speaks SMTP with STARTTLS from a list of replies, for one connection."""

    def __init__(self, directory, replies):
        self.cert_file, key_file = make_self_signed(str(directory), ["localhost"])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.cert_file, key_file)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self._replies = replies
        self.heard = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        connection, _ = self._listener.accept()
        connection.settimeout(30)
        connection.sendall(b"220 ready\r\n")
        lines = connection.makefile("rb")
        for line in lines:
            self.heard.append(line)
            verb = line[:4].upper().strip()
            if verb == b"STAR":
                connection.sendall(b"220 go\r\n")
                try:
                    connection = self._context.wrap_socket(connection, server_side=True)
                except ssl.SSLError:  # the client does not trust us
                    break
                self._talk(connection, connection.makefile("rb"))
                break
            connection.sendall(b"250-x\r\n250 STARTTLS\r\n")
        lines.close()
        connection.close()
        self._listener.close()

    def _talk(self, connection, lines):
        data = False
        for line in lines:
            self.heard.append(line)
            if data and line != b".\r\n":
                continue
            verb = b"." if data else line[:4].upper().strip()
            data = verb == b"DATA"
            connection.sendall(self._replies.get(verb, b"250 2.0.0 ok") + b"\r\n")
            if verb == b"QUIT":
                return

    def join(self):
        self._thread.join()
        return b"".join(self.heard)


REPLIES = {
    b"EHLO": b"250-x\r\n250 AUTH PLAIN",
    b"AUTH": b"235 2.7.0 ok",
    b"DATA": b"354 go",
    b".": b"250 2.0.0 accepted as 3kTxBqRmNp10",
    b"QUIT": b"221 2.0.0 bye",
}


def test_a_message_is_submitted_inside_tls_with_a_login(tmp_path):
    peer = Peer(tmp_path, REPLIES)
    assert submit(peer.port, peer.cert_file, MESSAGE) == "3kTxBqRmNp10"
    heard = peer.join()
    assert heard.index(b"STARTTLS") < heard.index(b"AUTH PLAIN") < heard.index(b"mail FROM:<alice@example.test>")
    assert b"data\r\nSubject: x\r\n\r\n..dot\r\n.\r\n" in heard


@pytest.mark.parametrize("verb", [b"AUTH", b"MAIL", b"RCPT", b"."])
def test_a_refusal_is_told(tmp_path, verb):
    peer = Peer(tmp_path, {**REPLIES, verb: b"550 5.7.1 not today"})
    with pytest.raises(Refused, match="550.*not today"):
        submit(peer.port, peer.cert_file, MESSAGE)
    peer.join()


def test_another_certificate_is_not_trusted(tmp_path):
    (tmp_path / "other").mkdir()
    other, _ = make_self_signed(str(tmp_path / "other"), ["localhost"])
    (tmp_path / "own").mkdir()
    peer = Peer(tmp_path / "own", REPLIES)
    with pytest.raises(Refused, match="certificate verify failed"):
        submit(peer.port, other, MESSAGE)
    assert b"AUTH" not in peer.join()
