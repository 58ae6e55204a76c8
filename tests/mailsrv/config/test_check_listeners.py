"""Listeners and TLS: places that exclude each other, and no password in the clear; the complaints are in
tests/cases/config.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from mailsrv.config.check_listeners import check_listeners, check_tls
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import Lines
from mailsrv.config.schema import AccountConfig, Config, ListenerConfig, TlsConfig
from mailsrv.system.tls import make_self_signed

SOUND = Config("m.x.example", "/d")


def run(*listeners: ListenerConfig, tls: bool = True) -> Complaints:
    complaints = Complaints("f", Lines(""))
    given = TlsConfig("/c", "/k") if tls else TlsConfig()
    check_listeners(replace(SOUND, listeners=list(listeners), tls=given), complaints)
    return complaints


def at(addr: str, port: int = 25) -> ListenerConfig:
    return ListenerConfig("smtp", addr, port)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (at("127.0.0.1"), at("127.0.0.2")),
        (at("127.0.0.1"), at("127.0.0.1", 26)),
        (at("0.0.0.0"), at("::")),
        (at("127.0.0.1"), at("::1")),
        (at("0.0.0.0"), at("127.0.0.1", 26)),
        (at("127.0.0.1"), ListenerConfig("submission")),
        (ListenerConfig("lmtp", "/a"), ListenerConfig("lmtp", "/b")),
    ],
)
def test_places_beside_each_other(one: ListenerConfig, other: ListenerConfig) -> None:
    assert run(one, other).faults == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (at("127.0.0.1"), at("127.0.0.1")),
        (at("0.0.0.0"), at("127.0.0.1")),
        (at("192.0.2.1"), at("0.0.0.0")),
        (at("::"), at("2001:db8::1")),
        (at("2001:db8::1"), at("2001:0DB8:0::1")),
        (at("127.0.0.1", 587), ListenerConfig("submission")),
        (ListenerConfig("lmtp", "/a"), ListenerConfig("lmtp", "/x/../a")),
    ],
)
def test_places_that_exclude_each_other(one: ListenerConfig, other: ListenerConfig) -> None:
    assert len(run(one, other).faults) == 1


def test_passwords_need_tls_or_loopback_and_a_word() -> None:
    assert run(ListenerConfig("submission"), ListenerConfig("submissions")).faults == []
    assert run(ListenerConfig("submission", "::1", without_tls=True), tls=False).faults == []
    assert len(run(ListenerConfig("submission"), tls=False).faults) == 1
    assert len(run(ListenerConfig("submissions"), tls=False).faults) == 1
    assert len(run(ListenerConfig("submission", "0.0.0.0", without_tls=True), tls=False).faults) == 1
    assert len(run(ListenerConfig("submissions", without_tls=True)).faults) == 1


def test_imap_is_as_submission() -> None:
    assert run(ListenerConfig("imap"), ListenerConfig("imaps")).faults == []
    assert run(ListenerConfig("imap", without_tls=True), tls=False).faults == []
    assert len(run(ListenerConfig("imap"), tls=False).faults) == 1
    assert len(run(ListenerConfig("imaps"), tls=False).faults) == 1
    assert len(run(ListenerConfig("imap", "0.0.0.0", without_tls=True), tls=False).faults) == 1
    assert len(run(ListenerConfig("imaps", without_tls=True)).faults) == 1
    assert len(run(ListenerConfig("imap", "/run/imap")).faults) == 1
    assert any("nobody can log in" in warning for warning in run(ListenerConfig("imap")).warnings)


def test_mail_from_outside_without_tls_is_only_a_warning() -> None:
    assert run(at("0.0.0.0")).warnings == []
    assert run(at("127.0.0.1"), tls=False).warnings == []
    outside = run(at("0.0.0.0"), tls=False)
    assert outside.faults == []
    assert "unencrypted" in outside.warnings[0]


def test_a_broken_tls_table_is_not_taken_for_none() -> None:
    complaints = Complaints("f", Lines(""))
    complaints.add(("tls",), "is a number")
    check_listeners(replace(SOUND, listeners=[ListenerConfig("submissions")]), complaints)
    assert len(complaints.faults) == 1


def test_pairs(tmp_path: Path) -> None:
    cert, key = make_self_signed(str(tmp_path), ["m.x.example"])

    def check_pair(tls: TlsConfig) -> list[str]:
        complaints = Complaints("f", Lines(""))
        check_tls(replace(SOUND, tls=tls), complaints)
        return complaints.faults

    assert check_pair(TlsConfig()) == []
    assert check_pair(TlsConfig(cert, key)) == []
    assert "tls.key_file: is given without cert_file" in check_pair(TlsConfig("", key))[0]
    Path(key).chmod(0o640)
    assert "mode 0640" in check_pair(TlsConfig(cert, key))[0]
    Path(key).write_text("x")
    assert len(check_pair(TlsConfig(cert, key))) == 2


def test_logins_without_any_password_are_hardly_meant() -> None:
    assert any("nobody can log in" in warning for warning in run(ListenerConfig("submissions")).warnings)
    assert run(ListenerConfig("smtp")).warnings == []
    complaints = Complaints("f", Lines(""))
    account = AccountConfig("alice", [], password_hash="x")
    config = replace(SOUND, accounts=[account], listeners=[ListenerConfig("submissions")], tls=TlsConfig("/c", "/k"))
    check_listeners(config, complaints)
    assert complaints.warnings == []
