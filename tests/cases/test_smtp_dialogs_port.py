"""Every dialog once more through a real port: the pump, the wire and (behind `t:`) a real TLS handshake in between.

What the client hears must be what the core said when it was fed the whole dialog at once.
"""

import select
import socket
import ssl
import threading

import pytest

from mailsrv.config.schema import LimitsConfig
from mailsrv.mail.reply import Reply
from mailsrv.serve.pump import Pump, Surroundings
from mailsrv.serve.wire import Drain, Wire
from mailsrv.smtp import events
from mailsrv.smtp.events import Event, Limits, Offer
from mailsrv.smtp.session import ServerSession
from mailsrv.system import tls
from mailsrv.system.clock import SystemClock
from tests.cases.dialog import Dialog
from tests.cases.test_smtp_dialogs import DIALOGS, Script, make_offer, play

LIMITS = LimitsConfig(command_seconds=30, data_seconds=30)


class ScriptPolicy(Script):
    """The dialog's policy, as the pump wants it."""

    def __init__(self, dialog: Dialog) -> None:
        super().__init__(dialog)
        self._offers = [make_offer(dialog.directives.get(name, "")) for name in ("offer", "offer-tls")]
        self._tls = 0

    def answer(self, event: Event) -> Reply | list[Reply] | None:  # type: ignore[override]
        return None if isinstance(event, events.DataChunk) else super().answer(event)

    def offer(self) -> Offer:
        return self._offers[self._tls]

    def tls_started(self, info: tls.TlsInfo) -> None:
        assert info.version
        self._tls = 1


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> tls.ServerTls:
    directory = tmp_path_factory.mktemp("tls")
    loaded = tls.load([tls.Pair(*tls.make_self_signed(str(directory), ["mx.example"]))])
    assert loaded is not None
    return loaded


def serve(connection: socket.socket, dialog: Dialog, server_tls: tls.ServerTls) -> threading.Thread:
    """A session in a thread, as smtpd makes it."""
    words = (word.split("=") for word in dialog.directives.get("limits", "").split())
    limits = Limits(**{name: int(value) for name, value in words})
    policy = ScriptPolicy(dialog)
    in_tls = "tls" in dialog.directives
    core = ServerSession(policy.kind, "mx.example", "ID", limits, policy.offer(), tls=in_tls)
    drain = Drain()

    def run() -> None:
        wire = Wire(connection, drain, SystemClock())
        Pump(wire, core, policy, Surroundings(LIMITS, server_tls, drain, SystemClock()), " id=ID").run()
        wire.close()
        drain.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def until_handshake(client: socket.socket) -> bytes:
    """What the server says up to its answer to STARTTLS; the handshake's first octets are the client's to send."""
    heard = b""
    while not heard.endswith(b"go ahead\r\n"):
        octets = client.recv(65536)
        assert octets, heard
        heard += octets
    return heard


def start_tls(client: socket.socket) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(client)


def to_the_end(client: socket.socket, expected: int) -> bytes:
    """Everything until the server closes, or (where the dialog leaves the session open) as much as is expected."""
    heard = b""
    while len(heard) < expected or select.select([client], [], [], 0)[0]:
        try:
            octets = client.recv(65536)
        except ConnectionResetError:
            break
        if not octets:
            break
        heard += octets
    return heard


@pytest.mark.parametrize("dialog", DIALOGS, ids=lambda dialog: dialog.name)
def test_dialog_through_a_port(dialog: Dialog, server_tls: tls.ServerTls) -> None:
    expected = play(dialog, list(enumerate(dialog.segments()))).replies
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=30)
        thread = serve(listener.accept()[0], dialog, server_tls)
    heard = b""
    try:
        for number, octets in enumerate(dialog.segments()):
            if number:
                heard += until_handshake(client)
                client = start_tls(client)
            try:
                client.sendall(octets)
            except OSError:
                break  # the server has closed already, as some dialogs want
        heard += to_the_end(client, len(expected) - len(heard))
    finally:
        client.close()
        thread.join(30)
    assert not thread.is_alive()
    assert heard == expected
