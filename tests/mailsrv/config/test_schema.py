"""The schema: each key says what it is for, and what it promises about itself holds."""

import dataclasses
import json
import re
from pathlib import Path
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
    assert [ListenerConfig(kind).is_imap for kind in ("imap", "imaps", "smtp", "lmtp")] == [True, True, False, False]
    assert (unix.is_unix, unix.is_loopback, unix.effective_port) == (True, True, 0)


def test_secrets_are_marked() -> None:
    marked = {
        f"{table.__name__}.{key.name}"
        for table in TABLES
        for key in dataclasses.fields(table)
        if key.metadata.get("secret")
    }
    assert marked == {
        "AccountConfig.password_hash",
        "AccountConfig.scram_sha_256",
        "Config.srs_secret",
        "FilterConfig.password",
        "RouteConfig.password",
    }


TYPES = {"str": "string", "int": "number", "bool": "boolean", "list": "array of", "dict": "table"}
SHOWN = {"No required": None, "No empty": {}, "Li []": [], "Li false": False, "Li true": True, "Qq \\&": ""}


def test_the_manual_has_every_type_and_default() -> None:
    page = (Path(__file__).resolve().parents[3] / "man" / "mailsrv.toml.5").read_text(encoding="utf-8")
    tables = {(table.__doc__ or "").strip(): table for table in TABLES}
    tables["Top of the file"] = tables.pop(Config.__doc__)
    seen = 0
    for section in page.partition(".Sh KEYS")[2].partition(".Sh FILES")[0].split(".Ss ")[1:]:
        title, _, text = section.partition("\n")
        fields = {key.name: key for key in dataclasses.fields(tables[title.removeprefix("\\&")])}
        for name, kind, default in re.findall(r"^\.It Ic (\w+) : Ar (.*?) , (.*)$", text, re.MULTILINE):
            key = fields[name]
            wanted = TYPES[getattr(key.type, "__origin__", key.type).__name__]
            assert kind.startswith(wanted), name
            value = key.default if key.default is not dataclasses.MISSING else None
            if key.default_factory is not dataclasses.MISSING:
                value = key.default_factory()
            shown: Any = SHOWN.get(default, default)
            if isinstance(shown, str) and shown:
                if kind.startswith("array"):
                    shown = json.loads(shown.removeprefix("Li ").replace("\\(dq", '"'))
                else:
                    shown = int(shown[3:]) if kind == "number" else shown.removeprefix("Qq Li ")
            assert shown == value, name
            for bound in ("low", "high"):
                assert key.metadata.get(bound, 0) in (0, 1, 65535, *map(int, re.findall(r"\d+", text))), name
            seen += 1
    assert seen == sum(len(dataclasses.fields(table)) for table in TABLES) - len(
        ["source", "accounts", "quotas", "listeners", "tls", "limits", "bans", "privileges", "log", "dns"]
        + ["queue", "routes", "reports", "dkim", "checks", "spf", "arc", "dmarc", "greylist", "dnsbl", "filter"]
    )
