"""Logins: what is offered, what is answered, what failing costs, and that nothing tells accounts apart."""

import base64
import hashlib
import hmac
from dataclasses import replace

import pytest

from mailsrv.config.schema import AccountConfig, BansConfig
from mailsrv.errors import Busy, StorageError
from mailsrv.directory.logins import delay_of
from mailsrv.receive.login import BUSY, ENOUGH, INVALID, NOT_OFFERED, SUCCESS
from mailsrv.sasl.scram import derive, format_key
from mailsrv.smtp.events import Auth, AuthCancelled, AuthResponse, Connected, Hello, Kind
from mailsrv.system.tls import TlsInfo
from tests.mailsrv.receive.fakes import CONFIG, make_config, make_conversation, make_house, waits_of

TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", "", {"tls-server-end-point": b"E" * 32})
TLS_12 = TlsInfo("TLSv1.2", "ECDHE", "", {"tls-server-end-point": b"E" * 32, "tls-unique": b"U" * 12})
UNBOUND = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", "", {})


def scram_config(**changes):
    """Every account that can log in has a SCRAM key for `NAME-secret`."""
    accounts = [
        replace(one, scram_sha_256=format_key(derive(f"{one.name}-secret", b"salt" * 4))) if one.password_hash else one
        for one in CONFIG.accounts
    ]
    return make_config(accounts=accounts, **changes)


def talk_to(house, kind=Kind.SUBMISSION, tls=TLS, **peer):
    talk = make_conversation(house, kind, tls=tls, **peer)
    talk.answer(Connected())
    talk.answer(Hello("EHLO", "client.example"))
    return talk


def plain(name: str, password: str, authzid: str = "") -> Auth:
    return Auth("PLAIN", f"{authzid}\0{name}\0{password}".encode())


# What is offered


@pytest.mark.parametrize(
    ("kind", "tls", "peer", "mechanisms"),
    [
        (Kind.SUBMISSION, TLS, {}, ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN")),
        (Kind.SUBMISSIONS, TLS, {}, ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN")),
        (Kind.SUBMISSION, UNBOUND, {}, ("SCRAM-SHA-256", "PLAIN", "LOGIN")),
        (Kind.SUBMISSION, None, {}, ()),
        (Kind.SUBMISSION, None, {"without_tls": True}, ("SCRAM-SHA-256", "PLAIN", "LOGIN")),
        (Kind.SMTP, TLS, {}, ()),
        (Kind.LMTP, TLS, {}, ()),
    ],
)
def test_offer(kind, tls, peer, mechanisms) -> None:
    talk = make_conversation(make_house(config=scram_config()), kind, tls=tls, **peer)
    assert talk.offer().mechanisms == mechanisms


def test_scram_only_when_every_account_has_a_key() -> None:
    accounts = [*scram_config().accounts, AccountConfig("carol", ["carol@example.org"], "hash of carol")]
    talk = make_conversation(make_house(config=make_config(accounts=accounts)), Kind.SUBMISSION, tls=TLS)
    assert talk.offer().mechanisms == ("PLAIN", "LOGIN")


def test_nothing_is_offered_after_a_login() -> None:
    talk = talk_to(make_house())
    assert talk.answer(plain("alice", "alice-secret")) == SUCCESS
    assert talk.offer().mechanisms == ()


@pytest.mark.parametrize("tls", [None, TLS])
def test_what_is_not_offered_is_refused(tls) -> None:
    house = make_house()
    kind = Kind.SMTP if tls else Kind.SUBMISSION
    assert talk_to(house, kind, tls).answer(plain("alice", "alice-secret")) == NOT_OFFERED
    assert not house.passwords.asked


# Passwords


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.org", "Alice@Example.Net"])
def test_login_by_name_or_address(name: str) -> None:
    house = make_house()
    talk = talk_to(house)
    assert talk.answer(plain(name, "alice-secret")) == SUCCESS
    assert talk.account == "alice"
    assert house.throttle.shown[0].names == ["alice"]
    assert house.throttle.counts["logins"] == 1
    assert house.log.of("login") == [
        {
            "id": "SESSION", "client": "192.0.2.7", "kind": "submission", "account": "alice", "mechanism": "PLAIN",
            "result": "ok",
        }
    ]
    assert not waits_of(house)


def test_plain_without_initial_response_and_login() -> None:
    house = make_house()
    talk = talk_to(house)
    assert str(talk.answer(Auth("PLAIN", None))) == "334 "
    assert talk.answer(AuthResponse(b"\0alice\0alice-secret")) == SUCCESS
    talk = talk_to(house)
    assert base64.b64decode(talk.answer(Auth("LOGIN", None)).text) == b"Username:"
    assert base64.b64decode(talk.answer(AuthResponse(b"alice")).text) == b"Password:"
    assert talk.answer(AuthResponse(b"alice-secret")) == SUCCESS


FAILURES = {
    "wrong password": plain("alice", "guess"),
    "unknown account": plain("nobody", "guess"),
    "account without password": plain("mute", "guess"),
    "another's authorization": plain("alice", "alice-secret", "bob"),
    "two fields": Auth("PLAIN", b"alice\0alice-secret"),
    "empty password": plain("alice", ""),
    "not UTF-8": Auth("PLAIN", b"\0\xff\0x"),
}


@pytest.mark.parametrize("event", FAILURES.values(), ids=FAILURES.keys())
def test_every_failure_is_answered_alike(event: Auth) -> None:
    house = make_house()
    talk = talk_to(house)
    assert str(talk.answer(event)) == "535 5.7.8 authentication credentials invalid"
    assert talk.account == ""
    assert waits_of(house) == [0.5]
    assert house.log.of("login")[0]["result"] == "wrong"
    assert house.throttle.failed == {"192.0.2.7": 1}


@pytest.mark.parametrize("name", ["alice", "nobody", "mute"])
def test_every_password_is_checked_whoever_it_is_for(name: str) -> None:
    house = make_house()
    talk_to(house).answer(plain(name, "guess"))
    assert len(house.passwords.asked) == 1


def test_the_third_failure_ends_the_session() -> None:
    house = make_house()
    talk = talk_to(house)
    replies = [talk.answer(plain(name, "guess")) for name in ("alice", "nobody", "alice")]
    assert replies == [INVALID, INVALID, ENOUGH]
    assert waits_of(house) == [0.5, 1.0, 2.0]


def test_a_success_between_failures_of_one_address_still_counts_them() -> None:
    house = make_house()
    talk_to(house).answer(plain("alice", "guess"))
    talk_to(house).answer(plain("alice", "alice-secret"))
    talk_to(house).answer(plain("alice", "guess"))
    assert waits_of(house) == [0.5, 1.0]


def test_delays_grow_and_are_bounded() -> None:
    assert [delay_of(n) for n in (1, 2, 3, 4, 5, 6, 1000)] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_failures_ban_the_address() -> None:
    house = make_house()
    replies = []
    for _ in range(4):
        talk = talk_to(house)
        if not house.bans.banned("192.0.2.7"):
            replies += [talk.answer(plain("alice", "guess")) for _ in range(3)][: 10 - len(replies)]
    assert replies[:9] == [INVALID, INVALID, ENOUGH] * 3
    assert replies[9] == ENOUGH
    assert (house.bans.added[0].network, house.bans.added[0].seconds) == ("192.0.2.7", 3600)
    assert house.log.of("ban")[0]["address"] == "192.0.2.7"
    assert house.log.of("login")[9]["result"] == "banned"
    assert house.throttle.counts["bans"] >= 1


def test_no_bans_when_they_are_off() -> None:
    house = make_house(config=make_config(bans=BansConfig(failures=0)))
    for _ in range(20):
        talk_to(house).answer(plain("alice", "guess"))
    assert house.bans.added == []


def test_a_ban_that_cannot_be_stored_is_logged() -> None:
    house = make_house(config=make_config(bans=BansConfig(failures=1)))
    house.bans.error = StorageError("read-only file system")
    assert talk_to(house).answer(plain("alice", "guess")) == ENOUGH
    assert house.log.of("storage")[0]["reason"] == "read-only file system"


@pytest.mark.parametrize("client", ["192.0.2.7", "local"])
def test_the_allow_list_and_local_sockets_are_not_slowed_down(client: str) -> None:
    house = make_house(config=make_config(bans=BansConfig(failures=2, allow=["192.0.2.0/24"])))
    talk = talk_to(house, client=client)
    assert [talk.answer(plain("alice", "guess")) for _ in range(3)] == [INVALID, INVALID, ENOUGH]
    assert not waits_of(house)
    assert not house.bans.added


def test_busy_is_temporary_and_no_failure() -> None:
    house = make_house()
    house.passwords.error = Busy("no slot")
    assert talk_to(house).answer(plain("alice", "alice-secret")) == BUSY
    assert house.throttle.failed == {}
    assert house.log.of("login")[0]["result"] == "busy"


def test_a_cancelled_exchange_begins_anew() -> None:
    talk = talk_to(make_house())
    talk.answer(Auth("LOGIN", b"alice"))
    assert talk.answer(AuthCancelled()).code == 501
    assert talk.answer(plain("alice", "alice-secret")) == SUCCESS


# SCRAM


def scram(talk, name: str, password: str, mechanism: str, header: str, binding: bytes = b"", *, late: bool = False):
    """Play the client; gives the last reply, and the iterations and salt that the server showed."""
    bare = f"n={name},r=clientnonce"
    first = (header + bare).encode()
    if late:
        assert str(talk.answer(Auth(mechanism, None))) == "334 "
        reply = talk.answer(AuthResponse(first))
    else:
        reply = talk.answer(Auth(mechanism, first))
    if reply.code != 334:
        return reply, None
    server_first = base64.b64decode(reply.text).decode()
    parts = dict(part.split("=", 1) for part in server_first.split(","))
    salt, iterations = base64.b64decode(parts["s"]), int(parts["i"])
    channel = base64.b64encode(header.encode() + binding).decode()
    without_proof = f"c={channel},r={parts['r']}"
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    message = f"{bare},{server_first},{without_proof}".encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    reply = talk.answer(AuthResponse(f"{without_proof},p={base64.b64encode(proof).decode()}".encode()))
    if reply.code != 334:
        return reply, (iterations, salt)
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    expected = b"v=" + base64.b64encode(hmac.digest(server_key, message, "sha256"))
    assert base64.b64decode(reply.text) == expected
    return talk.answer(AuthResponse(b"")), (iterations, salt)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("mechanism", "header", "binding", "tls"),
    [
        ("SCRAM-SHA-256", "n,,", b"", TLS),
        ("SCRAM-SHA-256", "y,,", b"", UNBOUND),
        ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", b"E" * 32, TLS),
        ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", b"E" * 32, TLS_12),
        ("SCRAM-SHA-256-PLUS", "p=tls-unique,,", b"U" * 12, TLS_12),
    ],
)
def test_scram(mechanism: str, header: str, binding: bytes, tls: TlsInfo, late: bool) -> None:
    house = make_house(config=scram_config())
    talk = talk_to(house, tls=tls)
    reply, _ = scram(talk, "alice@example.org", "alice-secret", mechanism, header, binding, late=late)
    assert reply == SUCCESS
    assert talk.account == "alice"
    assert house.log.of("login")[0]["mechanism"] == mechanism
    assert not house.passwords.asked


@pytest.mark.parametrize(
    ("name", "password", "mechanism", "header", "binding"),
    [
        ("alice", "guess", "SCRAM-SHA-256", "n,,", b""),
        ("nobody", "guess", "SCRAM-SHA-256", "n,,", b""),
        ("mute", "guess", "SCRAM-SHA-256", "n,,", b""),
        ("alice", "alice-secret", "SCRAM-SHA-256", "y,,", b""),
        ("alice", "alice-secret", "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", b"F" * 32),
        ("alice", "alice-secret", "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", b"E" * 32),
        ("alice", "alice-secret", "SCRAM-SHA-256-PLUS", "n,,", b""),
    ],
    ids=["wrong", "unknown", "without key", "downgrade", "other certificate", "other binding", "no binding"],
)
def test_scram_fails_alike(name, password, mechanism, header, binding) -> None:
    house = make_house(config=scram_config())
    reply, _ = scram(talk_to(house), name, password, mechanism, header, binding)
    assert reply == INVALID
    assert waits_of(house) == [0.5]


def test_unknown_accounts_show_the_same_salt_every_time() -> None:
    house = make_house(config=scram_config())
    seen = {scram(talk_to(house), "nobody", "x", "SCRAM-SHA-256", "n,,")[1] for _ in range(2)}
    assert len(seen) == 1
    house = make_house(config=scram_config(), secret=b"t" * 32)
    assert scram(talk_to(house), "nobody", "x", "SCRAM-SHA-256", "n,,")[1] not in seen
