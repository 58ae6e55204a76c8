"""Routes: which next hop a recipient has, and what goes together."""

import pytest

from mailsrv.config.schema import Config, QueueConfig, RouteConfig
from mailsrv.deliver.route import Credentials, HopKind, NextHop, Router, reverse_path_domain
from mailsrv.mail.address import Address, parse_address
from mailsrv.mail.envelope import Envelope, Recipient
from mailsrv.transport.level import Level

CONFIG = Config(
    "mail.example.org",
    "/d",
    domains=["example.org", "bücher.example"],
    domain_aliases={"example.net": "example.org"},
    queue=QueueConfig(port=2525),
    routes=[
        RouteConfig("direct", ["exception.inner.example"]),
        RouteConfig("direct", ["safe.example"], tls="verify"),
        RouteConfig("mx:relay.example", [".inner.example"], tls="encrypt"),
        RouteConfig("mx:relay.example:26", ["port.example"]),
        RouteConfig("smtp:[2001:db8::1]:26", ["MÜNCHEN.example"]),
        RouteConfig("lmtp:127.0.0.1:24", ["shop.example"], ["alice"]),
        RouteConfig("lmtp:/run/lmtp", ["shop.example"]),
        RouteConfig("smtp:out.example:587", accounts=["carol"], username="c", password="hush"),
    ],
)
ROUTER = Router(CONFIG)
PLAIN = Router(Config("mail.example.org", "/d", domains=["example.org"]))


@pytest.mark.parametrize(
    ("domain", "account", "shown", "level"),
    [
        ("a.example", "", "a.example", Level.MAY),
        ("A.Example", "alice", "a.example", Level.MAY),
        ("ü.example", "", "xn--tda.example", Level.MAY),
        ("[192.0.2.1]", "", "[192.0.2.1]", Level.MAY),
        ("[IPv6:2001:DB8::1]", "", "[ipv6:2001:db8::1]", Level.MAY),
        ("inner.example", "", "inner.example", Level.MAY),
        ("x.inner.example", "", "mx:relay.example", Level.ENCRYPT),
        ("y.X.INNER.example", "", "mx:relay.example", Level.ENCRYPT),
        ("xinner.example", "", "xinner.example", Level.MAY),
        ("exception.inner.example", "", "exception.inner.example", Level.MAY),
        ("safe.example", "", "safe.example", Level.VERIFY),
        ("münchen.EXAMPLE", "", "smtp:[2001:db8::1]:26", Level.MAY),
        ("shop.example", "alice", "lmtp:127.0.0.1:24", Level.MAY),
        ("shop.example", "", "lmtp:/run/lmtp", Level.NONE),
        ("shop.example", "carol", "lmtp:/run/lmtp", Level.NONE),
        ("a.example", "carol", "smtp:out.example:587", Level.VERIFY),
        ("x.inner.example", "carol", "mx:relay.example", Level.ENCRYPT),
        ("example.org", "", "account:", Level.NONE),
        ("EXAMPLE.net", "carol", "account:", Level.NONE),
        ("BÜCHER.example", "", "account:", Level.NONE),
    ],
)
def test_the_first_route_that_fits(domain: str, account: str, shown: str, level: Level) -> None:
    hop = ROUTER.route(Recipient(Address("x", domain)), account)
    assert (str(hop), hop.level) == (shown, level)


def test_what_a_next_hop_holds() -> None:
    carol = ROUTER.route_domain("a.example", "carol")
    assert carol == NextHop(HopKind.SMTP, "out.example", 587, Level.VERIFY, Credentials("c", "hush"), True)
    assert "hush" not in repr(carol)
    assert ROUTER.route_domain("port.example") == NextHop(HopKind.DIRECT, "relay.example", 26, configured=True)
    assert ROUTER.route_domain("a.example") == NextHop(HopKind.DIRECT, "a.example", 2525)
    assert ROUTER.route_domain("x.inner.example").port == 2525
    assert PLAIN.route_domain("a.example").port == 25
    assert [ROUTER.route_domain("shop.example", name).is_lmtp for name in ("", "alice")] == [True, True]
    assert not carol.is_lmtp


def test_an_account_takes_no_route() -> None:
    recipient = Recipient(parse_address("x@shop.example"), account="alice")
    assert ROUTER.route(recipient, "carol") == NextHop(HopKind.LOCAL, "alice", level=Level.NONE)


def test_recipients_of_one_next_hop_go_together() -> None:
    recipients = (
        Recipient(parse_address("a@one.example")),
        Recipient(parse_address("b@two.example")),
        Recipient(parse_address("c@ONE.example")),
        Recipient(parse_address("alice@example.org"), account="alice"),
        Recipient(parse_address("d@x.inner.example")),
        Recipient(parse_address("e@y.inner.example")),
        Recipient(parse_address("also@example.org"), account="alice"),
        Recipient(parse_address("f@one.example")),
    )
    envelope = Envelope("id", 0.0, None, recipients)
    groups = ROUTER.group(envelope, {7, 6, 5, 4, 3, 2, 0})
    assert {str(hop): indexes for hop, indexes in groups.items()} == {
        "one.example": [0, 2, 7],
        "account:alice": [3, 6],
        "mx:relay.example": [4, 5],
    }
    assert ROUTER.group(envelope, ()) == {}


def test_the_domain_of_a_rewritten_sender_is_the_alias_one() -> None:
    alias, ann = parse_address("info@example.org"), parse_address("ann@elsewhere.example")
    assert reverse_path_domain(Recipient(ann, original=alias)) == "example.org"
    assert reverse_path_domain(Recipient(ann)) == ""
    assert reverse_path_domain(Recipient(ann, original=alias, account="ann")) == ""
