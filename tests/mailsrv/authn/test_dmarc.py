"""DMARC: cases (those of RFC 9989's appendix B among them), hostile messages within their lookups, and the bounds.

tests/cases/authn/dmarc-NN-*/: message.eml; zone for tests/fakes/dns.py; `found`, what SPF and DKIM say, one line each:

    spf RESULT mailfrom|helo DOMAIN
    dkim RESULT DOMAIN [testing]

and `expected`: a line for each field of the finding that the case is about, and `lookups`, how many were made.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.dmarc import check_dmarc
from mailsrv.authn.findings import DkimFinding, DmarcFinding, Policy, Result, SpfFinding
from mailsrv.mail.header import Header, scan
from tests.fakes.dns import FakeResolver

CASES = sorted((Path(__file__).parents[2] / "cases" / "authn").glob("dmarc-*"))
NO_SPF = SpfFinding(Result.NONE, "mailfrom", "", "")


def read_header(message: bytes) -> Header:
    header = scan(message, True)
    assert header is not None
    return header


def from_(value: str) -> Header:
    return read_header(f"From: {value}\r\n\r\n".encode("utf-8", "surrogateescape"))


def spf(domain: str, result: Result = Result.PASS, identity: str = "mailfrom") -> SpfFinding:
    return SpfFinding(result, identity, domain, f"postmaster@{domain}")


def dkim(domain: str, result: Result = Result.PASS, testing: bool = False) -> DkimFinding:
    return DkimFinding(result, domain, "s", testing=testing)


def read_found(lines: list[str]) -> tuple[SpfFinding, list[DkimFinding]]:
    sender, signatures = NO_SPF, []
    for method, result, *words in map(str.split, lines):
        if method == "spf":
            sender = spf(words[1], Result(result), words[0])
        else:
            signatures.append(dkim(words[0], Result(result), words[1:] == ["testing"]))
    return sender, signatures


def show(finding: DmarcFinding, name: str) -> str:
    if name == "aligned":
        return ", ".join(" ".join(pair) for pair in finding.aligned)
    value = getattr(finding, name)
    return value.value if isinstance(value, Result | Policy) else str(value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases(case: Path) -> None:
    resolver = FakeResolver((case / "zone").read_text())
    header = read_header((case / "message.eml").read_bytes())
    sender, signatures = read_found((case / "found").read_text().splitlines())
    finding = check_dmarc(header, sender, signatures, resolver.query)
    expected = dict(line.partition(" ")[::2] for line in (case / "expected").read_text().splitlines())
    lookups = expected.pop("lookups", str(len(resolver.queries)))
    assert {name: show(finding, name) for name in expected} == expected
    assert str(len(resolver.queries)) == lookups
    assert len(set(resolver.queries)) == len(resolver.queries)


def test_there_are_cases() -> None:
    assert len(CASES) > 50


def test_the_record_is_handed_on() -> None:
    resolver = FakeResolver("_dmarc.example.com TXT v=DMARC1;p=none;rua=mailto:d@example.com")
    finding = check_dmarc(from_("a@example.com"), NO_SPF, [], resolver.query)
    assert finding.record == "v=DMARC1;p=none;rua=mailto:d@example.com"


def test_lookups_of_an_ordinary_message() -> None:
    resolver = FakeResolver("_dmarc.example.com TXT v=DMARC1; p=reject")
    finding = check_dmarc(from_("a@example.com"), spf("esp.example.net"), [dkim("example.com")], resolver.query)
    assert finding.result is Result.PASS
    assert resolver.queries == [("_dmarc.example.com", "TXT")]


def test_strangers_of_another_top_level_cost_nothing() -> None:
    resolver = FakeResolver("_dmarc.example.com TXT v=DMARC1; p=reject")
    check_dmarc(from_("a@example.com"), spf("example.net"), [dkim("example.org")], resolver.query)
    assert len(resolver.queries) == 1


def test_strangers_of_the_same_top_level_cost_the_authors_walk_only() -> None:
    resolver = FakeResolver("_dmarc.example.com TXT v=DMARC1; p=reject")
    signatures = [dkim(f"a.b.c.d.stranger{number}.com") for number in range(10)]
    assert check_dmarc(from_("a@example.com"), NO_SPF, signatures, resolver.query).result is Result.FAIL
    assert [name for name, _ in resolver.queries] == ["_dmarc.example.com", "_dmarc.com"]


def test_failed_lookups_are_not_repeated() -> None:
    resolver = FakeResolver("_dmarc.example.com TXT v=DMARC1; p=reject\nFAIL _dmarc.com")
    signatures = [dkim(f"{number}.example.com") for number in range(5)]
    finding = check_dmarc(from_("a@example.com"), NO_SPF, signatures, resolver.query)
    assert (finding.result, finding.could_reject) == (Result.TEMPERROR, True)
    assert len(resolver.queries) == 2


def deep(prefix: str, top: str) -> str:
    return ".".join([*(f"{prefix}{number}" for number in range(20)), top])


def test_no_message_makes_more_lookups_than_stated() -> None:
    """A record at a top level domain without psd=y makes everything below it one organization."""
    resolver = FakeResolver("_dmarc.com TXT v=DMARC1; p=none; np=reject")
    signatures = [dkim(deep(f"x{number}-", "com")) for number in range(9)]
    one = check_dmarc(from_(f"a@{deep('a', 'com')}"), spf(deep("s", "com")), signatures, resolver.query)
    assert one.result is Result.PASS
    assert len(one.aligned) == 4
    assert len(resolver.queries) <= 37
    resolver = FakeResolver("_dmarc.com TXT v=DMARC1; p=none; np=reject; adkim=r")
    authors = ", ".join(f"a@{deep(prefix, 'com')}" for prefix in "abc")
    assert check_dmarc(from_(authors), spf(deep("s", "com")), signatures, resolver.query).result is Result.PERMERROR
    assert len(resolver.queries) <= 55


@pytest.mark.parametrize("domain", [".".join("a" * 127), f"{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 57}", "x" * 63])
def test_longest_names(domain: str) -> None:
    resolver = FakeResolver("")
    assert check_dmarc(from_(f"a@{domain}"), spf(domain), [dkim(domain)], resolver.query).result in (
        Result.NONE,
        Result.PERMERROR,
    )
    assert len(resolver.queries) <= 8


RECORDS = [
    "v=DMARC1; p=reject; " + "x" * 60000,
    "v=DMARC1; p=reject;" + "a=b;" * 15000,
    "v=DMARC1; p=reject;" + "rua=mailto:a@b;" * 4000,
    "v=DMARC1; p=reject; rua=" + "mailto:a@example.com!10m," * 2000,
    "v=DMARC1; p=reject;" + "=" * 60000,
    "v=DMARC1; p=reject;" + " " * 60000 + "=",
]


@pytest.mark.parametrize("record", RECORDS, ids=range(len(RECORDS)))
def test_long_records(record: str) -> None:
    resolver = FakeResolver(f"_dmarc.example.com TXT {record}")
    finding = check_dmarc(from_("a@example.com"), NO_SPF, [], resolver.query)
    assert (finding.result, finding.policy) == (Result.FAIL, Policy.REJECT)
    assert len(finding.record) <= 4096


NAMES = ["example.com", "a.example.com", "b.a.example.com", "com", "example.net", "net"]
RESULTS = st.sampled_from(Result)
TEXTS = st.sampled_from(
    [
        "v=DMARC1",
        "v=DMARC1; p=reject",
        "v=DMARC1; p=quarantine; t=y; sp=reject",
        "v=DMARC1; p=reject; aspf=s; adkim=s; np=none",
        "v=DMARC1; psd=y; p=reject; np=quarantine",
        "v=DMARC1; psd=n; sp=bad",
        "v=spf1",
    ]
)
ZONES = st.lists(
    st.one_of(
        st.builds("_dmarc.{} TXT {}".format, st.sampled_from(NAMES), TEXTS),
        st.builds("FAIL _dmarc.{}".format, st.sampled_from(NAMES)),
        st.builds("{} A 192.0.2.1".format, st.sampled_from(NAMES)),
    )
).map("\n".join)
FROMS = st.one_of(
    st.lists(st.sampled_from(NAMES).map("a@{}".format), max_size=4).map(", ".join),
    st.text(st.sampled_from('ab@.,;:<>()"[]\\ü \U0001f600'), max_size=30),
)


@given(FROMS, st.booleans(), RESULTS, st.lists(st.tuples(RESULTS, st.sampled_from(NAMES)), max_size=5), ZONES)
def test_what_holds_for_any_message(
    author: str, twice: bool, result: Result, signatures: list[tuple[Result, str]], zone: str
) -> None:
    resolver = FakeResolver(zone)
    header = read_header(f"From: {author}\r\n".encode() * (1 + twice) + b"\r\n")
    found = [dkim(domain, one) for one, domain in signatures]
    finding = check_dmarc(header, spf("a.example.com", result), found, resolver.query)
    assert len(set(resolver.queries)) == len(resolver.queries) <= 55
    assert finding.result in (Result.NONE, Result.PASS, Result.FAIL, Result.TEMPERROR, Result.PERMERROR)
    if finding.aligned:
        assert finding.result is Result.PASS
        assert {("spf", "a.example.com"), *(("dkim", one.domain) for one in found)} >= set(finding.aligned)
    if finding.result is Result.PASS:
        assert not twice
        passed = [("spf", "a.example.com", result), *(("dkim", one.domain, one.result) for one in found)]
        assert all((*pair, Result.PASS) in passed for pair in finding.aligned)
        assert finding.aligned and finding.record
    if finding.could_reject:
        assert finding.result is Result.TEMPERROR
        assert "FAIL" in zone or Result.TEMPERROR in [result, *(one.result for one in found)]
