"""The directory: what RCPT, MAIL and a login ask, answered for one configuration."""

from dataclasses import replace

import pytest

from mailsrv.config.schema import AccountConfig, Config, LimitsConfig, QuotaConfig
from mailsrv.directory.accounts import NOT_LOCAL, UNKNOWN, Directory, Expansion
from mailsrv.mail.address import Address, parse_address
from mailsrv.mail.srs import Srs
from tests.fakes.clock import FakeClock

CONFIG = Config(
    "mail.example.org",
    "/d",
    domains=["example.org", "bücher.example", "all.example"],
    recipient_delimiter="+-",
    aliases={
        "info@example.org": ["alice", "bob+info@example.org", "ann@elsewhere.example"],
        "away@example.org": ["ann@elsewhere.example"],
        "empty@example.org": ["empty+x@example.org"],
    },
    domain_aliases={"example.net": "example.org"},
    catch_all={"all.example": "bob"},
    accounts=[
        AccountConfig(
            "alice", ["alice@example.org", '"a b"@example.org', "postmaster@example.org"], "hash", "key", 500
        ),
        AccountConfig("bob", ["bob@example.org", "é@bücher.example", "postmaster@bücher.example"]),
    ],
    limits=LimitsConfig(quota_bytes=9000),
)
DIRECTORY = Directory.from_config(CONFIG)
ANN = Address("ann", "elsewhere.example")


@pytest.mark.parametrize(
    ("address", "accounts", "remote", "rule"),
    [
        ("alice@example.org", ("alice",), (), "account"),
        ("Alice@EXAMPLE.ORG", ("alice",), (), "account"),
        ('"A b"@example.org', ("alice",), (), "account"),
        ("alice+x@example.org", ("alice",), (), "detail"),
        ("alice-x+y@example.org", ("alice",), (), "detail"),
        ("É@xn--bcher-kva.example", ("bob",), (), "account"),
        ("info@example.org", ("alice", "bob"), (ANN,), "alias"),
        ("info+x@example.org", ("alice", "bob"), (ANN,), "detail"),
        ("info@Example.NET", ("alice", "bob"), (ANN,), "domain_alias"),
        ("away@example.org", (), (ANN,), "alias"),
        ("whoever@all.example", ("bob",), (), "catch_all"),
        ("postmaster@all.example", ("bob",), (), "catch_all"),
        ("postmaster@example.net", ("alice",), (), "domain_alias"),
    ],
)
def test_expand(address: str, accounts: tuple[str, ...], remote: tuple[Address, ...], rule: str) -> None:
    assert DIRECTORY.expand(parse_address(address)) == Expansion(True, True, accounts, remote, rule)


def test_nobody() -> None:
    for address in ("carol@example.org", "carol+alice@example.org", "+alice@example.net", "alice@bücher.example"):
        assert DIRECTORY.expand(parse_address(address)) == UNKNOWN
    for address in ("alice@elsewhere.example", "alice@[127.0.0.1]", "alice@mail.example.org", "alice@org"):
        assert DIRECTORY.expand(parse_address(address)) == NOT_LOCAL
    assert (UNKNOWN.found, UNKNOWN.local, NOT_LOCAL.found, NOT_LOCAL.local) == (False, True, False, False)


def test_postmaster_without_domain() -> None:
    assert DIRECTORY.expand(Address("PostMaster", "")).accounts == ("alice",)
    assert DIRECTORY.expand(Address("alice", "")) == NOT_LOCAL
    own = Config(
        "b.example",
        "/d",
        domains=["a.example", "B.example"],
        accounts=[AccountConfig("a", ["postmaster@a.example"]), AccountConfig("b", ["postmaster@b.example"])],
    )
    assert Directory.from_config(own).expand(Address("postmaster", "")).accounts == ("b",)
    assert Directory.from_config(Config("mail.example.org", "/d")).expand(Address("postmaster", "")) == NOT_LOCAL


def test_an_alias_that_leads_nowhere() -> None:
    assert DIRECTORY.expand(parse_address("empty@example.org")) == UNKNOWN
    aliases = {f"a{i}@example.org": [f"a{i + 1}@example.org"] for i in range(12)}
    deep = Directory.from_config(Config("m.example.org", "/d", domains=["example.org"], aliases=aliases))
    assert deep.expand(parse_address("a0@example.org")).rule == "too_deep"
    wide = {"a@example.org": [f"u{i}@elsewhere.example" for i in range(1001)]}
    many = Directory.from_config(Config("m.example.org", "/d", domains=["example.org"], aliases=wide))
    assert many.expand(parse_address("a@example.org")) == Expansion(False, True, rule="too_deep")


@pytest.mark.parametrize(
    "login", ["alice", "ALICE", "alice@example.org", "Alice@Example.Org", '"a B"@example.org', "alice@example.net"]
)
def test_logins(login: str) -> None:
    account = DIRECTORY.account(login)
    assert account is not None
    assert account.name == "alice"
    assert (account.password_hash, account.scram, account.quota_bytes) == ("hash", "key", 500)
    assert account.addresses[0] == parse_address("alice@example.org")


@pytest.mark.parametrize(
    "login",
    ["", "@", "carol", "alice@", "@example.org", "alice+x@example.org", "info@example.org", "x@all.example", "a b"],
)
def test_no_logins(login: str) -> None:
    assert DIRECTORY.account(login) is None


def test_the_quota_for_all_holds_where_there_is_none_of_its_own() -> None:
    bob = DIRECTORY.account("bob")
    assert bob is not None
    assert bob.quota_bytes == 9000
    assert [account.name for account in DIRECTORY.accounts] == ["alice", "bob"]


def test_quotas_of_a_domain_and_of_all() -> None:
    accounts = [
        AccountConfig("a", ["a@Example.org", "a@example.net"], quota_messages=7),
        AccountConfig("b", ["b@example.net"]),
        AccountConfig("c", ["c@example.com"], quota_bytes=1),
    ]
    quotas = [QuotaConfig(["example.org"], quota_bytes=50), QuotaConfig(["EXAMPLE.net"], quota_messages=5)]
    limits = LimitsConfig(quota_bytes=100, quota_messages=9)
    domains = ["example.org", "example.net", "example.com"]
    directory = Directory.from_config(
        Config("mx.example.org", "/data", domains=domains, accounts=accounts, quotas=quotas, limits=limits)
    )
    found = {account.name: (account.quota_bytes, account.quota_messages) for account in directory.accounts}
    assert found == {"a": (50, 7), "b": (100, 5), "c": (1, 9)}
    assert (directory.most_messages("b"), directory.most_messages("nobody")) == (5, 0)


def test_owns() -> None:
    def owns(account: str, text: str) -> bool:
        return DIRECTORY.owns(account, parse_address(text))

    assert owns("alice", "ALICE@example.org")
    assert owns("alice", "alice+list@example.org")
    assert owns("alice", "alice@example.net")
    assert owns("alice", "alice+list@example.net")
    assert not owns("bob", "alice@example.org")
    assert not owns("alice", "info@example.org"), "an alias is several people's"
    assert not owns("bob", "whoever@all.example"), "a catch-all is not an identity"
    assert not owns("alice", "alice@elsewhere.example")
    assert not owns("", "carol@example.org")


def test_scram_needs_a_key_of_everybody_who_can_log_in() -> None:
    def ready(*accounts: AccountConfig) -> bool:
        return Directory.from_config(Config("m.example.org", "/d", accounts=list(accounts))).scram_ready

    assert DIRECTORY.scram_ready
    assert not ready()
    assert not ready(AccountConfig("a", []))
    assert not ready(AccountConfig("a", [], "hash", "key"), AccountConfig("b", [], "hash"))
    assert ready(AccountConfig("a", [], "hash", "key"), AccountConfig("b", []))


def test_local_domains() -> None:
    assert all(map(DIRECTORY.is_local, ("EXAMPLE.org", "example.net", "BÜCHER.example", "xn--bcher-kva.example")))
    assert not any(map(DIRECTORY.is_local, ("", "mail.example.org", "elsewhere.example")))


def with_srs(clock: FakeClock) -> Directory:
    return Directory.from_config(replace(CONFIG, srs_secret="0123456789abcdef"), clock)


@pytest.mark.parametrize("domain", ["example.org", "example.net", "all.example"])
def test_a_rewritten_sender_is_found_again_in_each_of_our_domains(domain: str) -> None:
    directory = with_srs(FakeClock())
    assert directory.srs is not None
    packed = directory.srs.forward(ANN, domain)
    assert packed.domain == domain
    assert directory.expand(packed) == Expansion(True, True, (), (ANN,), "srs")
    assert directory.expand(Address(packed.local_part.lower(), packed.domain.upper())).remote == (ANN,)


def test_senders_of_ours_are_not_rewritten() -> None:
    directory = with_srs(FakeClock())
    assert directory.srs is not None
    assert directory.srs.forward(Address("alice", "example.net"), "all.example") == Address("alice", "example.net")


def test_a_rewritten_sender_that_is_forged_or_old_is_nobody_whatever_the_catch_all() -> None:
    clock = FakeClock()
    directory = with_srs(clock)
    assert directory.srs is not None
    packed = directory.srs.forward(ANN, "all.example")
    assert directory.expand(Address("SRS0=AAAAAA=AA=elsewhere.example=ann", "all.example")) is UNKNOWN
    clock.advance(30 * 86400)
    assert directory.expand(packed) is UNKNOWN


def test_a_rewritten_sender_whose_domain_has_moved_here() -> None:
    directory = with_srs(FakeClock())
    packed = Srs("0123456789abcdef", FakeClock()).forward(Address("alice", "example.org"), "all.example")
    assert directory.expand(packed) == Expansion(True, True, ("alice",), (), "srs")
    nobody = Srs("0123456789abcdef", FakeClock()).forward(Address("carol", "example.org"), "all.example")
    assert not directory.expand(nobody).found


def test_without_a_secret_nothing_is_rewritten_or_found() -> None:
    assert DIRECTORY.srs is None
    packed = Srs("0123456789abcdef", FakeClock()).forward(ANN, "example.org")
    assert DIRECTORY.expand(packed) is UNKNOWN
    assert DIRECTORY.expand(Address(packed.local_part, "all.example")).accounts == ("bob",)
