"""A server on trial: started as a child of `mailsrv try` or a test, given one message, and ended again.

It is the real `mailsrv serve` with a configuration of its own; only the ports are found here, by asking the system for
free ones, and nothing leaves the loopback interface.

Diagnostics: `Server.wait_ready` and `submit` raise Refused with what went wrong; the rest raises OSError.
"""

import os
import select
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mailsrv.errors import Refused
from mailsrv.system import entropy
from mailsrv.system.clock import Clock

LOOPBACK = "127.0.0.1"

_LOOK_SECONDS = 0.2
_ANSWER_SECONDS = 10.0
_DATAGRAM_OCTETS = 4096

# The package of this process, wherever it lies, and not one that happens to be in the current directory.
_PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); from mailsrv.cli.mailsrv import main; sys.exit(main())"


def find_port(preferred: int = 0, taken: frozenset[int] = frozenset()) -> int:
    """A TCP port that is free on loopback now: `preferred` if it is, or any that is not in `taken`."""
    for port in (preferred, *[0] * (len(taken) + 1)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
        if found not in taken:
            return found
    raise Refused("this machine has no free TCP port on its loopback interface")


class Server:
    """`mailsrv serve` as a child in a process group of its own, so that Ctrl-C reaches only the parent.

    Use it in a `with` statement: whatever happens, no process stays behind.
    """

    def __init__(self, config_path: str, clock: Clock) -> None:
        self._clock = clock
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        # In the abstract namespace (unix(7)): no file, and no limit to the length of a directory's name.
        name = f"mailsrv-try-{os.getpid()}-{entropy.octets(8).hex()}"
        self._listener.bind(f"\0{name}")
        parent = str(Path(__file__).resolve().parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, parent, "serve", "--config", config_path],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": f"@{name}"},
            process_group=0,
        )

    @property
    def pid(self) -> int:
        """The supervisor's process number."""
        return self._process.pid

    def wait_ready(self, seconds: float) -> None:
        """Wait until every listener is served, as the server tells a service manager. Raises Refused."""
        deadline = self._clock.monotonic() + seconds
        while (left := deadline - self._clock.monotonic()) > 0:
            if select.select([self._listener], [], [], min(left, _LOOK_SECONDS))[0]:
                if b"READY=1" in self._listener.recv(_DATAGRAM_OCTETS).split(b"\n"):
                    return
            elif self.ended() is not None:
                raise Refused(f"the server ended with status {self.ended()} before it was ready; it said why above")
        raise Refused(f"the server was not ready after {seconds:.0f} s; its log says how far it came")

    def ended(self) -> int | None:
        """The exit status of the supervisor, None while it runs."""
        return self._process.poll()

    def stop(self, seconds: float) -> int:
        """Ask it to end, and kill the whole process group after `seconds`; gives the exit status."""
        if self.ended() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(_ANSWER_SECONDS)
        self._listener.close()


@dataclass(frozen=True, slots=True)
class Submission:
    """One message and who sends it: `account` logs in with `password`. `message` has its lines as CR LF."""

    account: str
    password: str
    reverse_path: str
    forward_path: str
    message: bytes


def submit(port: int, cert_file: str, submission: Submission) -> str:
    """Send a message by submission with STARTTLS and a login, as any client does; gives the id that the reply names.

    Only the certificate in `cert_file` is trusted, for whatever name. Raises Refused.
    """
    context = ssl.create_default_context(cafile=cert_file)
    context.check_hostname = False
    try:
        with smtplib.SMTP(LOOPBACK, port, local_hostname="localhost", timeout=_ANSWER_SECONDS) as client:
            client.starttls(context=context)
            client.login(submission.account, submission.password)
            _expect(client.mail(submission.reverse_path))
            _expect(client.rcpt(submission.forward_path))
            return _expect(client.data(submission.message)).split()[-1].strip("<>")
    except (smtplib.SMTPException, OSError) as error:
        raise Refused(f"the server did not take a message: {error}") from error


def _expect(answer: tuple[int, bytes]) -> str:
    code, octets = answer
    text = octets.decode("utf-8", "replace")
    if code >= 400:
        raise Refused(f"the server did not take a message: {code} {text}")
    return text
