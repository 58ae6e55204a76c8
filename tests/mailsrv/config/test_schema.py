"""The schema: each key says what it is for, and what it promises about itself holds."""

import dataclasses
from typing import Any

import pytest

from mailsrv.config import schema
from mailsrv.config.schema import DEFAULT_PORTS, Config, ListenerConfig

TABLES = [table for table in vars(schema).values() if isinstance(table, type) and dataclasses.is_dataclass(table)]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_has_a_meaning_and_a_sound_default(table: Any) -> None:
    for key in dataclasses.fields(table):
        if key.metadata.get("internal"):
            continue
        assert key.metadata["meaning"]
        if isinstance(key.default, int) and not isinstance(key.default, bool):
            assert key.metadata["low"] <= key.default <= key.metadata.get("high", key.default)
        if "choices" in key.metadata and key.default is not dataclasses.MISSING:
            assert key.default in key.metadata["choices"]


def test_defaults_are_not_shared() -> None:
    one, two = Config("a.example", "/a"), Config("b.example", "/b")
    one.aliases["x"] = ["y"]
    one.domains.append("a.example")
    assert (two.aliases, two.domains) == ({}, [])


def test_every_kind_has_a_port() -> None:
    kinds = ListenerConfig.__dataclass_fields__["kind"].metadata["choices"]
    assert set(kinds) == set(DEFAULT_PORTS)


def test_what_a_listener_says_of_itself() -> None:
    assert ListenerConfig("smtp").effective_port == 25
    assert ListenerConfig("smtp", port=2525).effective_port == 2525
    assert ListenerConfig("smtp", "0.0.0.0").is_loopback is False
    assert ListenerConfig("smtp", "127.9.9.9").is_loopback is True
    assert ListenerConfig("smtp", "::1").is_loopback is True
    unix = ListenerConfig("lmtp", "/run/lmtp")
    assert (unix.is_unix, unix.is_loopback, unix.effective_port) == (True, True, 0)


def test_secrets_are_marked() -> None:
    marked = {
        f"{table.__name__}.{key.name}"
        for table in TABLES
        for key in dataclasses.fields(table)
        if key.metadata.get("secret")
    }
    assert marked == {"AccountConfig.password_hash", "AccountConfig.scram_sha_256"}
