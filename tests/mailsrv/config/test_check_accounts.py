"""Accounts: which hashes and keys are taken; what is said of the rest is in tests/cases/config."""

import pytest

from mailsrv.config import check_accounts as check_accounts_module
from mailsrv.config.check_accounts import check_accounts, explain_hash, explain_scram
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import Lines
from mailsrv.config.schema import AccountConfig, Config
from mailsrv.directory.passwords import hash_password
from mailsrv.sasl.scram import ITERATIONS, derive, format_key

SALT = "c2FsdHNhbHRzYWx0c2FsdA"
DIGEST = "ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGlnZXN0ZGk"
KEY = "c3RvcmVka2V5c3RvcmVka2V5c3RvcmVka2V5c3RvcmU="


def test_what_passwd_makes_is_taken() -> None:
    assert explain_hash(hash_password("secret")) == ""
    assert explain_scram(format_key(derive("secret", b"0123456789abcdef"))) == ""


@pytest.mark.parametrize("cost", ["m=8,t=1,p=1", "m=65536,t=3,p=4", "m=1048576,t=64,p=64"])
def test_other_costs_are_taken(cost: str) -> None:
    assert explain_hash(f"$argon2id$v=19${cost}${SALT}${DIGEST}") == ""


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is no argon2id hash"),
        ("x", "is no argon2id hash"),
        (f"$argon2id$v=16$m=8,t=1,p=1${SALT}${DIGEST}", "is no argon2id hash"),
        (f"$argon2id$m=8,t=1,p=1${SALT}${DIGEST}", "is no argon2id hash"),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}\n", "is no argon2id hash"),
        (f"$argon2i$v=19$m=8,t=1,p=1${SALT}${DIGEST}", "of another kind"),
        ("$6$salt$digest", "of another kind"),
        (f"$argon2id$v=19$m=8,t=1,p=2${SALT}${DIGEST}", "out of bounds"),
        (f"$argon2id$v=19$m=8,t=0,p=1${SALT}${DIGEST}", "out of bounds"),
        (f"$argon2id$v=19$m=8,t=1,p=0${SALT}${DIGEST}", "out of bounds"),
        (f"$argon2id$v=19$m=2000000,t=1,p=1${SALT}${DIGEST}", "out of bounds"),
        (f"$argon2id$v=19$m=8,t=1,p=1$c2Fs${DIGEST}", "cut off"),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}$c2Fs", "cut off"),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}aa", "cut off"),
    ],
)
def test_no_hashes(text: str, part: str) -> None:
    assert part in explain_hash(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is no SCRAM key"),
        (f"SCRAM-SHA-1$4096:{SALT}==${KEY}:{KEY}", "is no SCRAM key"),
        (f"SCRAM-SHA-256$4096:{SALT}==${KEY}", "is no SCRAM key"),
        (f"SCRAM-SHA-256$4095:{SALT}==${KEY}:{KEY}", "4095 iterations"),
        (f"SCRAM-SHA-256$8192:{SALT}==${KEY}:{KEY}", "8192 iterations"),
        (f"SCRAM-SHA-256$4096:=${KEY}:{KEY}", "cut off"),
        (f"SCRAM-SHA-256$4096:{SALT}==${KEY[:8]}:{KEY}", "cut off"),
        (f"SCRAM-SHA-256$4096:{SALT}==${KEY}:{KEY[1:]}", "cut off"),
    ],
)
def test_no_keys(text: str, part: str) -> None:
    assert part in explain_scram(text)


def test_the_shortest_and_the_longest_names() -> None:
    def run(name: str) -> list[str]:
        complaints = Complaints("f", Lines(""))
        check_accounts(
            Config("m.x.example", "/d", domains=["x.example"], accounts=[AccountConfig(name, ["a@x.example"])]),
            complaints,
        )
        return complaints.faults

    assert all(run(name) == [] for name in ("a", "0", "a.b_c-d", "a" * 64))
    assert all(len(run(name)) == 1 for name in ("", "A", "-a", ".a", "_a", "a" * 65, "a/b", "a b", "é", "a\n", "a@b"))


def test_unknown_accounts_have_the_same_number_of_iterations() -> None:
    assert check_accounts_module.ITERATIONS == ITERATIONS
