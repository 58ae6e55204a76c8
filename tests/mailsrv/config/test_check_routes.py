"""Aliases, catch-alls and postmaster: that each of them reaches somebody, by whatever rule."""

from dataclasses import replace

import pytest

from mailsrv.config.check_routes import check_aliases, check_catch_all, check_postmaster
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import Lines
from mailsrv.config.schema import AccountConfig, Config

ALICE = AccountConfig("alice", ["alice@x.example"])
SOUND = Config("m.x.example", "/d", domains=["x.example", "y.example"], accounts=[ALICE])


def faults(config: Config) -> list[str]:
    complaints = Complaints("f", Lines(""))
    for check_one in (check_aliases, check_catch_all):
        check_one(config, complaints)
    return complaints.faults


@pytest.mark.parametrize(
    "member",
    [
        "alice",
        "ALICE",
        "alice@x.example",
        "alice+d@X.example",
        "other@x.example",
        "x@elsewhere.example",
        "any@y.example",
    ]
    + ["alice@z.example"],
)
def test_members_that_are_somebody(member: str) -> None:
    config = replace(
        SOUND,
        aliases={"a@x.example": [member], "other@x.example": ["alice"]},
        catch_all={"y.example": "alice"},
        domain_aliases={"z.example": "x.example"},
    )
    assert faults(config) == []


@pytest.mark.parametrize("member", ["", "bob", "bob@x.example", "any@y.example", "a@x.example", "a+d@x.example", "x@"])
def test_members_that_are_nobody(member: str) -> None:
    assert len(faults(replace(SOUND, aliases={"a@x.example": [member]}))) == 1


@pytest.mark.parametrize("target", ["alice", "alice@x.example", "a@x.example", "x@elsewhere.example"])
def test_targets_of_a_catch_all(target: str) -> None:
    assert faults(replace(SOUND, catch_all={"y.example": target}, aliases={"a@x.example": ["alice"]})) == []


@pytest.mark.parametrize("target", ["bob", "", "any@y.example", "any@x.example"])
def test_a_catch_all_does_not_catch_itself(target: str) -> None:
    assert len(faults(replace(SOUND, catch_all={"y.example": target}))) == 1


def test_a_catch_all_through_an_alias_that_leads_back_is_a_circle() -> None:
    config = replace(SOUND, catch_all={"y.example": "a@x.example"}, aliases={"a@x.example": ["any@y.example", "alice"]})
    assert all("leads back to itself" in fault for fault in faults(config))
    assert len(faults(config)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"accounts": [AccountConfig("p", ["Postmaster@X.example", "POSTMASTER@y.example"])]},
        {"aliases": {"postmaster@x.example": ["alice"], "postmaster@y.example": ["x@elsewhere.example"]}},
        {"catch_all": {"x.example": "alice", "y.example": "alice"}},
        {"domains": ["x.example"], "accounts": [AccountConfig("p", ["postmaster@x.example"])]}
        | {"domain_aliases": {"y.example": "x.example"}},
        {"domains": []},
    ],
)
def test_postmaster_by_any_rule(change: dict[str, object]) -> None:
    complaints = Complaints("f", Lines(""))
    check_postmaster(replace(SOUND, **change), complaints)  # type: ignore[arg-type]
    assert complaints.faults == []


def test_postmaster_in_every_domain() -> None:
    complaints = Complaints("f", Lines(""))
    check_postmaster(replace(SOUND, accounts=[AccountConfig("p", ["postmaster@y.example"])]), complaints)
    assert len(complaints.faults) == 1
    assert "nobody is postmaster@x.example" in complaints.faults[0]
