"""Showing: what is shown is TOML that means the same, without secrets."""

import dataclasses
import tomllib
from pathlib import Path

from mailsrv.config.load import load
from mailsrv.config.schema import AccountConfig, Config, LimitsConfig, ListenerConfig
from mailsrv.config.show import show
from mailsrv.directory.passwords import hash_password

BASE = 'hostname = "mail.example.org"\ndata_dir = "/d"\n'
CONFIG = Config(
    "mail.example.org",
    '/d/"quoted"\\\x7f\t${X} $${Y} é\u2028',
    domains=["x.example"],
    recipient_delimiter="",
    aliases={"a@x.example": ["alice", "b@y.example"], "plain": ["alice"]},
    accounts=[AccountConfig("alice", ["alice@x.example", "postmaster@x.example"], password_hash="hush", quota_bytes=5)],
    listeners=[ListenerConfig("smtp", port=25), ListenerConfig("lmtp", "/run/lmtp"), ListenerConfig("smtp", port=26)],
    limits=LimitsConfig(recipients=7),
)


def test_defaults_are_shown_and_with_changed_only_they_are_not() -> None:
    whole = tomllib.loads(show(CONFIG))
    assert whole["limits"]["message_size"] == 50_000_000
    assert whole["listeners"][0] == {
        "kind": "smtp",
        "addr": "127.0.0.1",
        "port": 25,
        "proxy_from": [],
        "without_tls": False,
    }
    assert tomllib.loads(show(CONFIG, changed_only=True)) == {
        "hostname": "mail.example.org",
        "data_dir": '/d/"quoted"\\\x7f\t$${X} $$${Y} é\u2028',
        "domains": ["x.example"],
        "recipient_delimiter": "",
        "aliases": {"a@x.example": ["alice", "b@y.example"], "plain": ["alice"]},
        "accounts": [
            {
                "name": "alice",
                "addresses": ["alice@x.example", "postmaster@x.example"],
                "password_hash": "(hidden)",
                "quota_bytes": 5,
            }
        ],
        "listeners": [{"kind": "smtp"}, {"kind": "lmtp", "addr": "/run/lmtp"}, {"kind": "smtp", "port": 26}],
        "limits": {"recipients": 7},
    }


def test_no_secret_is_shown() -> None:
    assert "hush" not in show(CONFIG)
    assert 'scram_sha_256 = ""' in show(CONFIG), "that there is none is no secret"


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    first = tmp_path / "first.toml"
    account = AccountConfig("alice", ["alice@x.example", "postmaster@x.example"], quota_bytes=5)
    config = dataclasses.replace(CONFIG, accounts=[account], aliases={"a@x.example": ["alice"]}, source=str(first))
    for changed_only in (False, True):
        first.write_text(show(config, changed_only), encoding="utf-8")
        assert load(str(first), {}) == config


def test_the_least_configuration(tmp_path: Path) -> None:
    assert show(Config("mail.example.org", "/d"), changed_only=True) == BASE


def test_a_hash_is_hidden_whole() -> None:
    text = hash_password("x")
    shown = show(dataclasses.replace(CONFIG, accounts=[AccountConfig("a", [], password_hash=text, scram_sha_256=text)]))
    assert text[-10:] not in shown
    assert shown.count('"(hidden)"') == 2
