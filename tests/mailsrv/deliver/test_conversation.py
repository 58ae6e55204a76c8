"""One conversation with one host that behaves as a table says."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailsrv.deliver import conversation
from mailsrv.deliver.conversation import Conversation, HostFault, Manner
from mailsrv.deliver.hosts import Fault, Host
from mailsrv.errors import StorageError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import MailParameters, Recipient
from mailsrv.smtp.client_events import TIMEOUTS, Answer, Phase, Stage, Transaction
from mailsrv.system.clock import SystemClock
from mailsrv.transport.level import Level
from tests.fakes.clock import FakeClock
from tests.fakes.mx import DEADLINE, OFFERS, Behaviour, FakeMx
from tests.mailsrv.system.test_tls import self_signed

BODY = b"Subject: x\r\n\r\n.dot\r\n"
MANNER = Manner("client.example", Level.MAY)
NO_CHUNKING = tuple(one for one in OFFERS if one != "CHUNKING")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    pair = self_signed(tmp_path_factory.mktemp("conversation") / "tls", "mx.fake.example")
    return pair.cert_file, pair.key_file


def talk(mx: FakeMx, manner: Manner = MANNER, *, plain: bool = False, avoid: frozenset[str] = frozenset()):
    """A conversation that is not opened yet."""
    host = Host("mx.fake.example", mx.path or mx.address, mx.port, plain=plain)
    return Conversation(host, manner, SystemClock(), avoid)


def transaction(*names: str, size: int = len(BODY)) -> Transaction:
    recipients = tuple(Recipient(Address(name, "d.example")) for name in names or ("c",))
    return Transaction(Address("a", "b.example"), recipients, MailParameters(), size)


def deliver(one: Conversation, *names: str, body: Iterable[bytes] = (BODY,), size: int = len(BODY)) -> list[Answer]:
    return list(one.deliver(transaction(*names, size=size), body))


def test_messages_over_one_connection() -> None:
    with FakeMx() as mx:
        one = talk(mx)
        one.open()
        for number in range(1, 4):
            assert one.still_stands()
            assert [answer.reply.code for answer in deliver(one, "c", "e")] == [250, 250]
            assert one.messages == number
        one.close()
        assert one.is_over
        mx.wait_until(lambda: mx.open == 0, "the goodbye")
    assert [message.octets for message in mx.accepted] == [BODY] * 3
    assert (mx.connections, mx.commands[-1]) == (1, "QUIT")


FAULTS = [
    (Behaviour(replies={"connect": "554 5.7.1 no"}), Fault.PERMANENT, Stage.GREETING, True, "554 5.7.1 no"),
    (Behaviour(replies={"connect": "421 4.3.2 busy"}), Fault.TEMPORARY, Stage.GREETING, True, "421 4.3.2 busy"),
    (Behaviour(close_at="connect"), Fault.TEMPORARY, Stage.GREETING, False, "closed while waiting for the greeting"),
    (Behaviour(close_at="ehlo"), Fault.TEMPORARY, Stage.HELLO, False, "closed while waiting for the reply to EHLO"),
    (Behaviour(replies={"ehlo": "421 4.3.2 busy"}), Fault.TEMPORARY, Stage.HELLO, True, "421 4.3.2 busy"),
    (Behaviour(starttls="broken"), Fault.TLS, Stage.HELLO, False, "4.7.5"),
    (Behaviour(starttls="works", close_at="starttls"), Fault.TLS, Stage.HELLO, False, "the reply to STARTTLS"),
]


@pytest.mark.parametrize("behaviour, fault, stage, by_peer, words", FAULTS)
def test_hosts_that_cannot_be_used(
    behaviour: Behaviour, fault: Fault, stage: Stage, by_peer: bool, words: str, certificate: tuple[str, str]
) -> None:
    with FakeMx(behaviour, certificate=certificate) as mx:
        one = talk(mx)
        with pytest.raises(HostFault) as caught:
            one.open()
    found = caught.value
    assert (found.fault, found.stage, found.by_peer) == (fault, stage, by_peer)
    assert words in str(found.reply)
    assert one.is_over


def test_nobody_there() -> None:
    with FakeMx() as mx:
        one = talk(mx)
    with pytest.raises(HostFault) as caught:
        one.open()
    assert caught.value.fault is Fault.TEMPORARY
    assert "connection refused" in str(caught.value)


LEVELS = [
    (Level.NONE, "works", False, None, False),
    (Level.MAY, "absent", False, None, False),
    (Level.MAY, "works", False, None, True),
    (Level.MAY, "works", True, None, False),
    (Level.ENCRYPT, "works", False, None, True),
    (Level.ENCRYPT, "works", True, None, True),
    (Level.ENCRYPT, "absent", False, "4.7.4", False),
    (Level.ENCRYPT, "broken", False, "4.7.5", False),
    (Level.VERIFY, "works", False, "4.7.5", False),
]


@pytest.mark.parametrize("level, starttls, plain, fails, secure", LEVELS)
def test_levels(
    level: Level, starttls: str, plain: bool, fails: str | None, secure: bool, certificate: tuple[str, str]
) -> None:
    with FakeMx(Behaviour(starttls=starttls), certificate=certificate) as mx:
        one = talk(mx, replace(MANNER, level=level), plain=plain)
        if fails is not None:
            with pytest.raises(HostFault, match=fails) as caught:
                one.open()
            assert caught.value.fault is Fault.TLS
            assert not mx.accepted
            return
        one.open()
        assert deliver(one)[0].is_accepted
        assert bool(one.tls) == secure
        one.close()
    assert mx.accepted[0].tls == secure


@pytest.mark.parametrize("level, fault", [(Level.MAY, None), (Level.ENCRYPT, Fault.TLS)])
def test_starttls_refused(level: Level, fault: Fault | None) -> None:
    with FakeMx(Behaviour(starttls="works", denies=frozenset({"STARTTLS"}))) as mx:
        one = talk(mx, replace(MANNER, level=level))
        if fault is None:
            one.open()
            assert deliver(one)[0].is_accepted
            one.close()
        else:
            with pytest.raises(HostFault) as caught:
                one.open()
            assert (caught.value.fault, caught.value.by_peer) == (fault, True)


LOGINS = [
    (Behaviour(login=("u", "p")), "p", None),
    (Behaviour(login=("u", "p")), "q", "454 4.7.8 the login was refused: 535 5.7.8 wrong"),
    (Behaviour(), "p", "454 4.7.0 the host offers no login"),
    (Behaviour(login=("u", "p"), close_at="auth"), "p", "the reply to AUTH"),
]


@pytest.mark.parametrize("behaviour, password, fails", LOGINS)
def test_logins(behaviour: Behaviour, password: str, fails: str | None) -> None:
    manner = replace(MANNER, username="u", password=password)
    with FakeMx(behaviour) as mx:
        one = talk(mx, manner)
        if fails is None:
            one.open()
            deliver(one)
            one.close()
            assert mx.accepted[0].account == "u"
        else:
            with pytest.raises(HostFault) as caught:
                one.open()
            assert fails in str(caught.value)
            assert caught.value.fault is Fault.TEMPORARY


def test_lmtp_over_a_unix_socket(tmp_path: Path) -> None:
    behaviour = Behaviour(lmtp=True, rcpt=(("no@", "550 5.1.1 unknown"),))
    with FakeMx(behaviour, path=str(tmp_path / "lmtp")) as mx:
        one = talk(mx, Manner("client.example", Level.NONE, lmtp=True))
        one.open()
        assert [answer.reply.code for answer in deliver(one, "a", "no", "b")] == [250, 550, 250]
        one.close()
    assert "LHLO client.example" in mx.commands


def test_what_a_host_lies_about_is_known_afterwards() -> None:
    with FakeMx(Behaviour(denies=frozenset({"CHUNKING"}))) as mx:
        one = talk(mx)
        one.open()
        (answer,) = deliver(one)
        assert answer.is_temporary and not answer.by_peer
        assert one.lies == {"CHUNKING"} and one.is_over
        one.close()
        again = talk(mx, avoid=one.lies)
        again.open()
        assert deliver(again)[0].is_accepted
        again.close()


def test_limits_of_the_host() -> None:
    with FakeMx(Behaviour(offers=("DSN", "LIMITS MAILMAX=7 RCPTMAX=9"))) as mx:
        one = talk(mx)
        one.open()
        assert (one.messages_limit, one.recipients_limit, one.offers_dsn) == (7, 9, True)
        one.close()


def test_nothing_is_read_for_a_host_that_cannot_take_the_message() -> None:
    with FakeMx(Behaviour(offers=("SIZE 10",))) as mx:
        one = talk(mx)
        one.open()
        (answer,) = deliver(one, body=fails_to_read())
        assert (answer.stage, answer.reply.enhanced, one.damage) == (Stage.NEEDS, "5.3.4", "")
        assert one.still_stands()
        one.close()


def test_a_host_that_hangs_up_over_a_message_gets_no_more_of_it() -> None:
    block = b"x" * 998 + b"\r\n"
    given = []

    def blocks() -> Iterator[bytes]:
        for _ in range(400):
            given.append(1)
            yield block * 256

    with FakeMx(Behaviour(close_at="body", offers=NO_CHUNKING[:1])) as mx:
        one = talk(mx)
        one.open()
        (answer,) = deliver(one, body=blocks(), size=len(block) * 256 * 400)
        assert answer.is_temporary and not answer.doubtful
        assert len(given) < 400
        one.close()


DAMAGES = [
    ("short", (BODY[:-3],), "the queue file has 17"),
    ("long", (BODY, b"more\r\n"), "has more"),
]


def fails_to_read() -> Iterator[bytes]:
    yield BODY[:10]
    raise StorageError("the disk is broken")


@pytest.mark.parametrize("offers", [OFFERS, NO_CHUNKING])
@pytest.mark.parametrize("body, words", [row[1:] for row in DAMAGES] + [(None, "the disk is broken")])
def test_a_message_that_is_not_whole_here_is_not_handed_over(
    offers: tuple[str, ...], body: tuple[bytes, ...] | None, words: str
) -> None:
    with FakeMx(Behaviour(offers=offers)) as mx:
        one = talk(mx)
        one.open()
        answers = deliver(one, "a", "b", body=fails_to_read() if body is None else body)
        assert all(answer.is_temporary and not answer.by_peer and not answer.doubtful for answer in answers)
        assert words in one.damage
        assert one.is_over
        one.close()
        mx.wait_until(lambda: mx.open == 0, "the end of the connection")
        assert not mx.accepted


def test_a_host_that_has_hung_up_is_seen_before_a_message_is_in_doubt() -> None:
    with FakeMx() as mx:
        one = talk(mx)
        one.open()
        deliver(one)
        assert one.still_stands()
    ended = threading.Event()
    for _ in range(2000):  # the end is on its way through the kernel
        if not one.still_stands():
            ended.set()
            break
        ended.wait(0.01)
    assert ended.is_set()
    assert one.is_over
    (answer,) = deliver(one)
    assert answer.is_temporary and not answer.doubtful
    one.close()


def test_in_doubt() -> None:
    with FakeMx(Behaviour(close_at="end")) as mx:
        one = talk(mx)
        one.open()
        (answer,) = deliver(one)
        assert answer.doubtful and answer.stage is Stage.END
        assert len(mx.unanswered) == 1
        one.close()


@pytest.mark.parametrize("phase, silent_at, offers", [
    (Phase.MAIL, "mail", OFFERS), (Phase.RCPT, "rcpt", OFFERS), (Phase.DATA_INIT, "data", NO_CHUNKING),
    (Phase.DATA_END, "end", OFFERS),
])  # fmt: skip
def test_silence(phase: Phase, silent_at: str, offers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TIMEOUTS, phase, 0.2)
    with FakeMx(Behaviour(silent_at=silent_at, offers=offers)) as mx:
        one = talk(mx)
        one.open()
        (answer,) = deliver(one)
        assert f"no answer for 0 s while waiting for {phase.value}" in answer.reply.text
        assert one.is_over
        one.close()


def test_a_host_that_takes_nothing_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TIMEOUTS, Phase.DATA_BLOCK, 0.2)
    given = []

    def blocks() -> Iterator[bytes]:
        for _ in range(100):
            given.append(1)
            yield b"x" * 998 + b"\r\n"
            yield (b"x" * 998 + b"\r\n") * 4000

    with FakeMx(Behaviour(silent_at="body", offers=NO_CHUNKING[:1])) as mx:
        one = talk(mx)
        one.open()
        (answer,) = deliver(one, body=blocks(), size=100 * 4_001_000)
        assert "while waiting for the host to take the message" in answer.reply.text
        assert answer.is_temporary and not answer.doubtful
        assert len(given) < 10
        one.close()


def test_a_reply_that_drips_is_silence() -> None:
    """Each octet comes in time, the whole reply never does."""
    clock = FakeClock()

    class Dripping:
        """A connection whose host sends an octet each 200 seconds."""

        tls = ""
        octets = iter(b"220-" + b"x" * 100_000)

        def receive(self, seconds: float) -> bytes:
            if seconds < 200:
                clock.advance(seconds)
                raise conversation.net.TimedOut(f"no answer for {seconds:.0f} s")
            clock.advance(200)
            return bytes((next(self.octets),))

        def close(self) -> None:
            self.closed = True

    connection = Dripping()
    one = Conversation(Host("mx.example", "192.0.2.1", 25), MANNER, clock)
    began = clock.now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversation.net, "connect", lambda *_arguments: connection)
        with pytest.raises(HostFault, match="no answer"):
            one.open()
    assert clock.now() - began <= TIMEOUTS[Phase.GREETING] + 1
    assert connection.closed


def test_closing_twice() -> None:
    with FakeMx() as mx:
        one = talk(mx)
        one.close()
        one.open()
        one.close()
        one.close()
        assert not one.still_stands()
        mx.wait_until(lambda: mx.open == 0, "the end", DEADLINE)
