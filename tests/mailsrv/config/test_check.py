"""The general checks; tests/cases/config has the exact complaints, here is what needs another machine or user."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from mailsrv.config.check import (
    CHECKS,
    check,
    check_data_dir,
    check_delimiter,
    check_dns,
    check_drop_dir,
    check_log,
    check_networks,
    check_privileges,
)
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath, Lines
from mailsrv.config.schema import BansConfig, Config, DnsConfig, LogConfig, PrivilegesConfig

SOUND = Config("mail.example.org", "/var/lib/mailsrv")


def run(check_one: Callable[[Config, Complaints], None], config: Config, *hit: KeyPath) -> list[str]:
    complaints = Complaints("f", Lines(""))
    for path in hit:
        complaints.add(path, "hit")
    check_one(config, complaints)
    return [fault for fault in complaints.faults if not fault.endswith(": hit")]


def test_the_least_configuration_is_sound() -> None:
    assert run(check, SOUND) == []


WRONG: list[tuple[Callable[[Config, Complaints], None], Config, KeyPath]] = [
    (check_data_dir, replace(SOUND, data_dir="x"), ("data_dir",)),
    (check_data_dir, replace(SOUND, data_dir="/x\0y"), ("data_dir",)),
    (check_drop_dir, replace(SOUND, drop_dir="drop"), ("drop_dir",)),
    (check_drop_dir, replace(SOUND, drop_dir="/var/lib/./mailsrv/drop"), ("drop_dir",)),
    (check_data_dir, replace(SOUND, data_dir="/.."), ("data_dir",)),
    (check_delimiter, replace(SOUND, recipient_delimiter="@"), ("recipient_delimiter",)),
    (check_networks, replace(SOUND, bans=BansConfig(allow=["x"])), ("bans", "allow", 0)),
    (check_privileges, replace(SOUND, privileges=PrivilegesConfig(user="0")), ("privileges", "user")),
    (check_log, replace(SOUND, log=LogConfig(destination="x")), ("log", "destination")),
    (check_dns, replace(SOUND, dns=DnsConfig(nameservers=["x"])), ("dns", "nameservers", 0)),
]


@pytest.mark.parametrize(("check_one", "config", "path"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_wrong_is_said_once(
    check_one: Callable[[Config, Complaints], None], config: Config, path: KeyPath
) -> None:
    assert check_one in CHECKS
    assert len(run(check_one, config)) == 1
    assert run(check_one, config, path) == [], "a value that was complained about is left out"


def test_unknown_names_matter_only_to_who_could_become_them(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(SOUND, privileges=PrivilegesConfig(user="no-such-user", group="no-such-group"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert [fault.split(": ")[1] for fault in run(check_privileges, config)] == ["privileges.user", "privileges.group"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run(check_privileges, config) == []


def test_numbers_need_no_entry() -> None:
    assert run(check_privileges, replace(SOUND, privileges=PrivilegesConfig(user="65500", group="65501"))) == []


def test_a_number_of_thousands_of_digits_is_nobody() -> None:
    privileges = PrivilegesConfig(user="9" * 5000, group="")
    assert "no user's number" in run(check_privileges, replace(SOUND, privileges=privileges))[0]


@pytest.mark.parametrize("network", ["192.0.2.1", "192.0.2.0/24", "2001:db8::/32", "::1", "0.0.0.0/0"])
def test_networks(network: str) -> None:
    assert run(check_networks, replace(SOUND, bans=BansConfig(allow=[network]))) == []


@pytest.mark.parametrize("network", ["", "/24", "192.0.2.0/33", "192.0.2.0/x", "fe80::1%eth0/64/1", "a/b"])
def test_no_networks(network: str) -> None:
    assert len(run(check_networks, replace(SOUND, bans=BansConfig(allow=[network])))) == 1
