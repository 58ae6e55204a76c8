"""The fake MX itself, and the client core over real sockets against each of its behaviours."""

import socket
import ssl
from dataclasses import fields

import pytest

from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, MailParameters, Recipient
from mailsrv.sasl.client import choose
from mailsrv.smtp import client_events as events
from mailsrv.smtp.client import ClientSession
from mailsrv.smtp.client_events import Answer, Stage, Transaction
from mailsrv.smtp.events import NEED_DATA
from tests.fakes.mx import DEADLINE, OFFERS, Behaviour, FakeMx
from tests.mailsrv.system.test_tls import self_signed

BODY = b"Subject: x\r\n\r\n.dot\r\n\xc3\xa9\r\n"
DSN = DsnRequest(("FAILURE",), "rfc822;o@d.example")


class Client:
    """A driver of the client core: the shortest one that works."""

    def __init__(self, mx: FakeMx, *, lmtp: bool = False, tls: bool = False, patience: float = DEADLINE) -> None:
        if mx.path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(mx.path)
        else:
            self.socket = socket.create_connection((mx.address, mx.port))
        self.socket.settimeout(patience)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        if tls:
            self.socket = self.context.wrap_socket(self.socket)
        self.session = ClientSession("client.example", lmtp=lmtp, secure=tls)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def event(self) -> events.ClientEvent:
        session = self.session
        while True:
            try:
                if octets := session.data_to_send():
                    self.socket.sendall(octets)
                event = session.next_event()
                if event is not NEED_DATA:
                    return event
                octets = self.socket.recv(65536)
                session.receive_data(octets)
                if not octets:
                    session.lost("connection closed")
            except TimeoutError:
                session.lost("timeout")
            except OSError:
                session.lost("connection reset")

    def begin(self) -> events.ClientEvent:
        event = self.event()
        if isinstance(event, events.Greeted):
            self.session.hello()
            event = self.event()
        return event

    def start_tls(self) -> events.ClientEvent:
        self.session.starttls()
        event = self.event()
        if isinstance(event, events.TlsReady):
            self.socket = self.context.wrap_socket(self.socket)
            self.session.tls_started()
            self.session.hello()
            event = self.event()
        return event

    def send(self, *names: str, body: bytes = BODY) -> tuple[Answer, ...]:
        recipients = tuple(Recipient(Address(name, "d.example"), DSN) for name in names or ("c",))
        parameters = MailParameters(ret="HDRS")
        self.session.send(Transaction(Address("a", "b.example"), recipients, parameters, len(body), eight_bit=True))
        while not isinstance(event := self.event(), events.Finished):
            assert isinstance(event, events.NeedBody)
            self.session.body(body)
            self.session.end_of_body()
        return event.answers


def deliver(mx: FakeMx, *names: str, **options) -> list[tuple[int, str]]:
    """Code and stage for each recipient of one message."""
    with Client(mx, **options) as client:
        event = client.begin()
        if isinstance(event, events.Refused):
            return [(event.reply.code, event.stage.name)]
        if isinstance(event, events.Broken):
            return [(0, event.reason)]
        return [(answer.reply.code, answer.stage.name) for answer in client.send(*names)]


def test_what_is_accepted_is_recorded() -> None:
    with FakeMx() as mx:
        assert deliver(mx, "c", "e") == [(250, "END")] * 2
        (message,) = mx.wait_for(1)
    assert (message.reverse_path, message.recipients) == ("a@b.example", ["c@d.example", "e@d.example"])
    assert message.mail_parameters == f"SIZE={len(BODY)} RET=HDRS BODY=8BITMIME"
    assert message.rcpt_parameters == ["NOTIFY=FAILURE ORCPT=rfc822;o@d.example"] * 2
    assert (message.octets, message.chunked, message.tls, message.hello) == (BODY, True, False, "client.example")
    assert (mx.connections, message.connection, mx.most_open) == (1, 1, 1)


def describe(value: object) -> str:
    """What differs from good behaviour."""
    return ",".join(
        f"{one.name}={getattr(value, one.name)}"
        for one in (fields(value) if isinstance(value, Behaviour) else ())
        if getattr(value, one.name) != getattr(Behaviour(), one.name)
    )


def without(*words: str) -> tuple[str, ...]:
    return tuple(offer for offer in OFFERS if offer.split()[0] not in words)


@pytest.mark.parametrize(
    ("behaviour", "results"),
    [
        (Behaviour(offers=without("CHUNKING")), [(250, "END")] * 2),
        (Behaviour(offers=without("CHUNKING", "PIPELINING")), [(250, "END")] * 2),
        (Behaviour(offers=without("PIPELINING")), [(250, "END")] * 2),
        (Behaviour(line_end="\n"), [(250, "END")] * 2),
        (Behaviour(padding=65536), [(250, "END")] * 2),
        (Behaviour(drip=0.0001), [(250, "END")] * 2),
        (Behaviour(replies={"connect": "554 5.7.1 go away"}), [(554, "GREETING")]),
        (Behaviour(replies={"connect": "421 4.3.2 busy"}), [(421, "GREETING")]),
        (Behaviour(replies={"ehlo": "450 4.3.2 later"}), [(450, "HELLO")]),
        (Behaviour(replies={"mail": "451 4.3.0 later"}), [(451, "MAIL")] * 2),
        (Behaviour(rcpt=(("^no@", "550 5.1.1 no"),)), [(250, "END"), (550, "RCPT")]),
        (Behaviour(rcpt=(("", "450 4.2.0 greylisted"),)), [(450, "RCPT")] * 2),
        (Behaviour(rcpt=(("^no@", "421 4.3.2 enough"),)), [(421, "RCPT")] * 2),
        (Behaviour(rcpt=(("", "251 2.1.5 forwarded"),)), [(250, "END")] * 2),
        (Behaviour(most_recipients=1), [(250, "END"), (452, "RCPT")]),
        (Behaviour(offers=without("CHUNKING"), replies={"data": "451 4.3.0 no"}), [(451, "DATA")] * 2),
        (Behaviour(replies={"end": "554 5.7.1 spam"}), [(554, "END")] * 2),
        (Behaviour(replies={"end": "421 4.3.2 bye"}), [(421, "END")] * 2),
        (Behaviour(offers=without("8BITMIME", "SMTPUTF8")), [(554, "NEEDS")] * 2),
        (Behaviour(helo_only=True), [(554, "NEEDS")] * 2),
        (Behaviour(denies=frozenset({"DSN"})), [(451, "MAIL")] * 2),
        (Behaviour(denies=frozenset({"CHUNKING"})), [(451, "DATA")] * 2),
        (Behaviour(close_at="mail"), [(451, "MAIL")] * 2),
        (Behaviour(close_at="body", offers=without("CHUNKING")), [(451, "END")] * 2),
    ],
    ids=describe,
)
def test_behaviours(behaviour: Behaviour, results: list[tuple[int, str]]) -> None:
    with FakeMx(behaviour) as mx:
        assert deliver(mx, "c", "no") == results
        assert len(mx.accepted) == any(code == 250 for code, _ in results)
        if mx.accepted:
            assert mx.accepted[0].octets == BODY


def test_closing_behind_the_message_leaves_a_doubt() -> None:
    with FakeMx(Behaviour(close_at="end"), Behaviour()) as mx:
        with Client(mx) as client:
            client.begin()
            (answer,) = client.send()
        assert answer.doubtful and len(mx.unanswered) == 1 and not mx.accepted
        assert deliver(mx) == [(250, "END")]
        assert mx.connections == 2


@pytest.mark.parametrize("phase", ["connect", "ehlo"])
def test_silence_at_the_door(phase: str) -> None:
    with FakeMx(Behaviour(silent_at=phase)) as mx:
        ((code, why),) = deliver(mx, patience=0.05)
        assert code == 0 and "timeout" in why


@pytest.mark.parametrize("phase", ["mail", "end"])
def test_silence_later(phase: str) -> None:
    with FakeMx(Behaviour(silent_at=phase)) as mx, Client(mx) as client:
        client.begin()
        client.socket.settimeout(0.05)
        (answer,) = client.send()
        assert answer.is_temporary and not answer.by_peer and answer.doubtful
        if phase == "end":
            mx.wait_until(lambda: len(mx.unanswered) == 1, "the message is there")


def test_close_at_once_and_new_behaviours() -> None:
    with FakeMx(Behaviour(close_at="connect")) as mx:
        ((code, why),) = deliver(mx)
        assert code == 0 and "the greeting" in why
        mx.behave(Behaviour(rcpt=(("", "550 5.1.1 no"),)), Behaviour())
        assert [deliver(mx) for _ in range(3)] == [[(550, "RCPT")], [(250, "END")], [(250, "END")]]


def test_a_parameter_that_is_refused_is_left_out_at_once() -> None:
    with FakeMx(Behaviour(denies=frozenset({"DSN", "SIZE"}))) as mx, Client(mx) as client:
        client.begin()
        assert client.send()[0].again
        assert client.send()[0].is_accepted
        assert mx.accepted[0].mail_parameters == "BODY=8BITMIME"


def test_starttls(tmp_path) -> None:
    pair = self_signed(tmp_path / "pair", "mx.fake.example")
    with FakeMx(Behaviour(starttls="works"), certificate=(pair.cert_file, pair.key_file)) as mx:
        with Client(mx) as client:
            client.begin()
            assert "STARTTLS" in client.session.capabilities
            assert isinstance(client.start_tls(), events.Helloed)
            assert "STARTTLS" not in client.session.capabilities
            assert client.send()[0].is_accepted
        assert mx.accepted[0].tls
    with FakeMx(Behaviour(implicit_tls=True), certificate=(pair.cert_file, pair.key_file)) as mx:
        assert deliver(mx, tls=True) == [(250, "END")]


def test_starttls_that_does_not_work() -> None:
    with FakeMx(Behaviour(starttls="works", denies=frozenset({"STARTTLS"}))) as mx, Client(mx) as client:
        client.begin()
        assert isinstance(client.start_tls(), events.TlsRefused)
        assert client.send()[0].is_accepted
    with FakeMx(Behaviour(starttls="broken")) as mx, Client(mx) as client:
        client.begin()
        with pytest.raises(ssl.SSLError):
            client.start_tls()


@pytest.mark.parametrize(("password", "code"), [("pw", 235), ("wrong", 535)])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_login(mechanism: str, password: str, code: int) -> None:
    with FakeMx(Behaviour(login=("me", "pw"))) as mx, Client(mx) as client:
        client.begin()
        assert mechanism in client.session.capabilities.mechanisms
        chosen = choose((mechanism,), "me", password, b"", secure=True)
        assert chosen is not None
        client.session.auth(chosen)
        event = client.event()
        assert isinstance(event, events.AuthResult) and event.reply.code == code
        assert client.send()[0].is_accepted
        assert mx.accepted[0].account == ("me" if code == 235 else "")


def test_lmtp_over_a_unix_socket(tmp_path) -> None:
    path = str(tmp_path / "lmtp")
    with FakeMx(Behaviour(lmtp=True, rcpt=(("^no@", "550 5.1.1 no"),)), path=path) as mx:
        assert deliver(mx, "c", "no", "e", lmtp=True) == [(250, "END"), (550, "RCPT"), (250, "END")]
        assert mx.commands[0] == "LHLO client.example"


def test_several_hosts_on_one_port() -> None:
    with FakeMx() as first, FakeMx(address="127.0.0.2", port=first.port) as second:
        assert deliver(second) == [(250, "END")]
        assert (first.connections, second.connections) == (0, 1)


def test_a_refusal_has_its_words() -> None:
    with FakeMx(Behaviour(rcpt=(("", "550 5.1.1 no such\n550 5.1.1 user"),))) as mx, Client(mx) as client:
        client.begin()
        (answer,) = client.send()
        assert (str(answer.reply), answer.stage, answer.by_peer) == ("550 5.1.1 no such user", Stage.RCPT, True)
