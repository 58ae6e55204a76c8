"""Destinations of reports: which URIs are addresses, and which domains take reports about another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.dmarc_record import parse_record
from mailsrv.authn.report_uri import (
    MOST_DESTINATIONS,
    Tag,
    find_destinations,
    is_authorised,
    parse_destinations,
)
from tests.fakes.dns import FakeResolver

OWN = "_dmarc.example.com TXT v=DMARC1; p=none"
THIRD = "example.com._report._dmarc.thirdparty.example.net"


def destinations(zone: str, *uris: str, tag: Tag = Tag.AGGREGATE) -> tuple[list[str], list[str], list[str]]:
    """Taken, refused and unknown addresses as text."""
    found = find_destinations("example.com", uris, tag, FakeResolver(zone).query)
    return tuple([str(one) for one in part] for part in (found.addresses, found.refused, found.unknown))


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("mailto:d@example.com", "d@example.com"),
        ("MailTo:d@Example.com", "d@Example.com"),
        ("mailto:d%2Bx%21y@example.com", "d+x!y@example.com"),
        ("mailto:d@example.com?subject=x@y", "d@example.com"),
        ("mailto:%C3%BC@example.com", "\u00fc@example.com"),
        ("mailto://d@example.com", "//d@example.com"),
        ("mailto:%22a%20b%22@example.com", '"a b"@example.com'),
    ],
)
def test_addresses(uri: str, address: str) -> None:
    assert [str(one) for one in parse_destinations([uri])] == [address]


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.com/d@example.com",
        "mailto:",
        "mailto:d",
        "mailto:@example.com",
        "mailto:d@",
        "mailto:d@[192.0.2.1]",
        "mailto:a@b@example.com",
        "mailto:a@example.com%0D%0ABcc:b@example.com",
        "mailto:a@example.com%2Cb@example.com",
        "mailto:%FF@example.com",
        "xmailto:d@example.com",
        "d@example.com",
        "",
    ],
)
def test_what_is_no_address(uri: str) -> None:
    assert parse_destinations([uri]) == ()


def test_each_address_once_and_not_many() -> None:
    uris = ["mailto:d@example.com", "mailto:d@EXAMPLE.com", *(f"mailto:d{number}@example.com" for number in range(99))]
    found = parse_destinations(uris)
    assert len(found) == len({one.key for one in found}) == MOST_DESTINATIONS


def test_from_a_record() -> None:
    record = parse_record(b"v=DMARC1; rua=mailto:a@example.com!10m,ftp://example.com, mailto:b@example.com")
    assert [str(one) for one in parse_destinations(record.rua)] == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize(
    ("zone", "policy_domain", "report_domain", "authorised"),
    [
        ("", "example.com", "example.com", True),
        (OWN, "example.com", "reports.example.com", True),
        (OWN, "mail.example.com", "example.com", True),
        (OWN + "\n_dmarc.reports.example.com TXT v=DMARC1; psd=n", "example.com", "reports.example.com", False),
        (OWN, "example.com", "thirdparty.example.net", False),
        (f"{OWN}\n{THIRD} TXT v=DMARC1;", "example.com", "thirdparty.example.net", True),
        (f"{OWN}\n{THIRD} TXT v=DMARC1", "example.com", "thirdparty.example.net", True),
        (f"{OWN}\n{THIRD} TXT v=DMARC1\n{THIRD} TXT v=DMARC1;", "example.com", "thirdparty.example.net", True),
        (f"{OWN}\n{THIRD} TXT hello\n{THIRD} TXT v=DMARC1;", "example.com", "thirdparty.example.net", True),
        (f"{OWN}\n{THIRD} TXT v=DMARC2;", "example.com", "thirdparty.example.net", False),
        (f"{OWN}\n{THIRD} TXT yes", "example.com", "thirdparty.example.net", False),
        (f"{OWN}\n{THIRD} TXT v=DMARC1;", "other.example.com", "thirdparty.example.net", False),
        (f"{OWN}\nFAIL {THIRD}", "example.com", "thirdparty.example.net", False),
        (f"{OWN}\nFAIL _dmarc.com", "example.com", "other.com", False),
    ],
)
def test_is_authorised(zone: str, policy_domain: str, report_domain: str, authorised: bool) -> None:
    assert is_authorised(policy_domain, report_domain, FakeResolver(zone).query) is authorised


def test_own_addresses_ask_nothing() -> None:
    resolver = FakeResolver()
    found = find_destinations("example.com", ["mailto:a@example.com"], Tag.AGGREGATE, resolver.query)
    assert [str(one) for one in found.addresses] == ["a@example.com"]
    assert resolver.queries == []


def test_each_question_once() -> None:
    resolver = FakeResolver(f"{OWN}\n{THIRD} TXT v=DMARC1")
    uris = [f"mailto:{name}@thirdparty.example.net" for name in "abc"]
    assert len(find_destinations("example.com", uris, Tag.FAILURE, resolver.query).addresses) == 3
    assert resolver.queries == [(THIRD, "TXT")]


def test_taken_refused_and_unknown() -> None:
    zone = f"{OWN}\n{THIRD} TXT v=DMARC1\nFAIL example.com._report._dmarc.later.example.net"
    uris = [f"mailto:d@{name}.example.net" for name in ("thirdparty", "victim", "later")]
    assert destinations(zone, "mailto:d@example.com", *uris) == (
        ["d@example.com", "d@thirdparty.example.net"],
        ["d@victim.example.net"],
        ["d@later.example.net"],
    )


def test_a_permission_names_other_addresses_of_its_domain_only() -> None:
    zone = (
        f"{OWN}\n{THIRD} TXT v=DMARC1; rua=mailto:aggregate-reports@thirdparty.example.net,mailto:x@victim.example;"
        " ruf=mailto:failure-reports@thirdparty.example.net"
    )
    uri = "mailto:auth-reports@thirdparty.example.net"
    assert destinations(zone, uri)[0] == ["aggregate-reports@thirdparty.example.net"]
    assert destinations(zone, uri, tag=Tag.FAILURE)[0] == ["failure-reports@thirdparty.example.net"]
    foreign = f"{OWN}\n{THIRD} TXT v=DMARC1; rua=mailto:x@victim.example"
    assert destinations(foreign, uri)[0] == ["auth-reports@thirdparty.example.net"]


def test_a_permission_by_wildcard_is_the_servers_matter() -> None:
    """The DNS makes up the name: whoever asks sees an ordinary record."""
    assert destinations(f"{OWN}\n{THIRD} TXT v=DMARC1", "mailto:d@thirdparty.example.net")[0]


def test_lookups_are_bounded() -> None:
    resolver = FakeResolver("_dmarc.com TXT v=DMARC1")
    labels = ".".join("a" * 20)
    uris = [f"mailto:d@{labels}.x{number}.com" for number in range(50)]
    find_destinations(f"{labels}.com", uris, Tag.AGGREGATE, resolver.query)
    assert len(resolver.queries) <= 8 + MOST_DESTINATIONS * 9


@given(st.lists(st.text(max_size=40).map("mailto:{}".format)), st.binary(max_size=40))
def test_any_text(uris: list[str], octets: bytes) -> None:
    assert len(parse_destinations(uris)) <= MOST_DESTINATIONS
    resolver = FakeResolver("")
    found = find_destinations("example.com", uris, Tag.AGGREGATE, resolver.query)
    assert len(found.addresses) + len(found.refused) <= MOST_DESTINATIONS
    assert parse_destinations(parse_record(b"v=DMARC1; rua=" + octets).rua) is not None
