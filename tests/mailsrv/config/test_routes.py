"""Routes: one rule for each kind of address, in the stated order, and following never runs away."""

import pytest

from mailsrv.config.routes import MAX_ADDRESSES, Routes, split_details
from mailsrv.config.schema import AccountConfig, Config
from mailsrv.mail.address import parse_address

CONFIG = Config(
    "mail.example.org",
    "/d",
    domains=["Example.org", "bücher.example", "all.example"],
    recipient_delimiter="+-",
    aliases={
        "info@example.org": ["alice", "bob+info@example.org", "ann@elsewhere.example", "ALICE"],
        "all@example.org": ["info@example.org", "ann@Elsewhere.example"],
        "loop@example.org": ["loop+x@example.org", "alice"],
        "alice+list@example.org": ["bob"],
    },
    domain_aliases={"example.net": "example.org"},
    catch_all={"all.example": "info@example.org"},
    accounts=[
        AccountConfig("alice", ["Alice@example.org", "a-b@example.org", '"a b"@example.org', "é@bücher.example"]),
        AccountConfig("bob", ["bob@example.org"]),
    ],
)


@pytest.mark.parametrize(
    ("address", "rule", "key", "account"),
    [
        ("alice@example.org", "account", "alice@example.org", "alice"),
        ("ALICE@EXAMPLE.ORG", "account", "alice@example.org", "alice"),
        ('"alice"@example.org', "account", "alice@example.org", "alice"),
        ('"A b"@example.org', "account", "a b@example.org", "alice"),
        ("É@xn--bcher-kva.example", "account", "é@xn--bcher-kva.example", "alice"),
        ("e\u0301@BÜCHER.example", "account", "é@xn--bcher-kva.example", "alice"),
        ("a-b@example.org", "account", "a-b@example.org", "alice"),
        ("a-b-c@example.org", "detail", "a-b@example.org", "alice"),
        ("bob+a-b+c@example.org", "detail", "bob@example.org", "bob"),
        ("alice+list@example.org", "alias", "alice+list@example.org", ""),
        ("alice+list+x@example.org", "detail", "alice+list@example.org", ""),
        ("info@example.org", "alias", "info@example.org", ""),
        ("info+x@example.org", "detail", "info@example.org", ""),
        ("bob@example.net", "domain_alias", "bob@example.org", "bob"),
        ("bob+x@example.net", "detail", "bob@example.org", "bob"),
        ("whoever@all.example", "catch_all", "@all.example", ""),
    ],
)
def test_found(address: str, rule: str, key: str, account: str) -> None:
    step = Routes(CONFIG).find(parse_address(address))
    assert step is not None
    assert (step.rule, step.key, step.account) == (rule, key, account)


@pytest.mark.parametrize(
    "address",
    ["carol@example.org", "+x@example.org", "carol+alice@example.org", "alice@elsewhere.example", "alice@[192.0.2.1]"],
)
def test_nobody(address: str) -> None:
    assert Routes(CONFIG).find(parse_address(address)) is None


def test_local_domains() -> None:
    routes = Routes(CONFIG)
    assert all(map(routes.is_local, ("example.org", "EXAMPLE.net", "xn--bcher-kva.example", "BÜCHER.example")))
    assert not any(map(routes.is_local, ("", "org", "x.example.org", "[192.0.2.1]")))


def follow(routes: Routes, text: str) -> tuple[tuple[str, ...], list[str], str]:
    step = routes.find(parse_address(text))
    assert step is not None
    ends = routes.follow(step)
    return ends.accounts, [str(address) for address in ends.remote], ends.fault


def test_following_gives_each_end_once() -> None:
    routes = Routes(CONFIG)
    assert follow(routes, "alice@example.org") == (("alice",), [], "")
    assert follow(routes, "info@example.org") == (("alice", "bob"), ["ann@elsewhere.example"], "")
    assert follow(routes, "all@example.net") == (
        ("alice", "bob"),
        ["ann@Elsewhere.example"],
        "",
    )  # as the first names it
    assert follow(routes, "x@all.example") == (("alice", "bob"), ["ann@elsewhere.example"], "")


def test_a_circle_ends_and_is_told() -> None:
    assert follow(Routes(CONFIG), "loop@example.org") == (("alice",), [], "circle")


def chain(length: int, end: str) -> Routes:
    aliases = {f"a{i}@x.example": [f"a{i + 1}@x.example"] for i in range(length - 1)}
    aliases[f"a{length - 1}@x.example"] = [end]
    account = AccountConfig("alice", ["alice@x.example"])
    return Routes(Config("m.x.example", "/d", domains=["x.example"], aliases=aliases, accounts=[account]))


@pytest.mark.parametrize("end", ["alice", "alice@x.example", "ann@elsewhere.example"])
def test_ten_aliases_deep_and_no_deeper(end: str) -> None:
    assert follow(chain(10, end), "a0@x.example")[2] == ""
    assert follow(chain(11, end), "a0@x.example") == ((), [], "too_deep")


def test_a_thousand_addresses_and_no_more() -> None:
    def wide(count: int) -> Routes:
        members = [f"u{i}@elsewhere.example" for i in range(count)]
        return Routes(Config("m.x.example", "/d", domains=["x.example"], aliases={"a@x.example": members}))

    assert len(follow(wide(MAX_ADDRESSES), "a@x.example")[1]) == MAX_ADDRESSES
    assert follow(wide(MAX_ADDRESSES + 1), "a@x.example") == ((), [], "too_many")


def test_many_circles_cost_little() -> None:
    # Every alias names every other: without a memory of what was seen this would be 60 to the tenth.
    names = [f"a{i}@x.example" for i in range(60)]
    routes = Routes(Config("m.x.example", "/d", domains=["x.example"], aliases=dict.fromkeys(names, names)))
    assert follow(routes, names[0]) == ((), [], "circle")


def test_details_longest_user_first() -> None:
    assert list(split_details("a+b-c+", "+-")) == ["a+b-c", "a+b", "a"]
    assert list(split_details("+a", "+")) == []
    assert list(split_details("a+b", "")) == []


def test_a_faulty_configuration_is_survived() -> None:
    routes = Routes(
        Config(
            "m",
            "/d",
            domains=["", "x.example", "[1]"],
            aliases={"": ["a"], "a@x.example": ["b@@", "", "alice"], "bad": ["x"]},
            catch_all={"": "", "x.example": "@"},
            domain_aliases={"": ""},
            accounts=[AccountConfig("", ["", "@"])],
        )
    )
    step = routes.find(parse_address("a@x.example"))
    assert step is not None
    assert step.members == ("", "alice")
