"""SPF: what pyspf does otherwise than RFC 7208, the limits against hostile records, and domains that send nothing. The
RFC's own suite is in tests/cases/authn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.authn.findings import Result
from mailsrv.authn.spf import MAX_EXPLANATION, check_spf, sends_nothing
from mailsrv.mail.address import Address
from mailsrv.system.dns_values import Answer, Budget, Status
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver

CLIENT = "192.0.2.1"
MOST_LOOKUPS = 1 + 10 * 11 + 1 + 11  # the record, ten terms of an mx with ten hosts each, exp= and a %{p} in it


def check(zone, client=CLIENT, sender=("ann", "example.org"), helo="mx.example.org"):
    """(finding, resolver)"""
    resolver = FakeResolver(zone)
    path = Address(*sender) if sender else None
    return check_spf(client, helo, path, resolver.query, 1_700_000_000.5, "mx.receiver.example"), resolver


def result(record, more="", **given):
    finding, _ = check(f"example.org TXT {record}\n{more}", **given)
    return finding.result.value


def test_what_is_found():
    finding, resolver = check(
        "example.org TXT v=spf1 mx -all\nexample.org MX 1 mx.example.org\nmx.example.org A 192.0.2.1"
    )
    assert finding.result is Result.PASS
    assert (finding.identity, finding.domain, finding.sender) == ("mailfrom", "example.org", "ann@example.org")
    assert (finding.mechanism, finding.explanation, finding.reason) == ("mx", "", "")
    assert resolver.queries == [("example.org", "TXT"), ("example.org", "MX"), ("mx.example.org", "A")]


def test_the_null_reverse_path_is_postmaster_at_the_helo_name():
    finding, _ = check(
        "mx.example.org TXT v=spf1 exists:%{l}.%{o} -all\npostmaster.mx.example.org A 127.0.0.2", sender=None
    )
    assert (finding.result, finding.identity, finding.domain) == (Result.PASS, "helo", "mx.example.org")
    assert finding.sender == "postmaster@mx.example.org"


@pytest.mark.parametrize(
    "helo", ["", "localhost", "[192.0.2.1]", "192.0.2.1", "a..b", "x" * 64 + ".org", "ex ample.org"]
)
def test_a_helo_name_that_can_have_no_record(helo):
    finding, resolver = check("", sender=None, helo=helo)
    assert (finding.result, finding.domain, resolver.queries) == (Result.NONE, "", [])
    assert finding.reason


@pytest.mark.parametrize("client", ["", "local", "192.0.2"])
def test_a_client_without_address(client):
    finding, resolver = check("example.org TXT v=spf1 +all", client=client)
    assert (finding.result, resolver.queries) == (Result.NONE, [])


@pytest.mark.parametrize("client", ["::ffff:192.0.2.1", "::FFFF:C000:201", "192.0.2.1"])
def test_an_ipv4_client_in_ipv6_form(client):
    assert result("v=spf1 ip4:192.0.2.1 -all", client=client) == "pass"


def test_a_zone_of_an_address_is_no_part_of_it():
    assert result("v=spf1 ip6:fe80::1 -all", client="fe80::1%eth0") == "pass"


def test_domains_in_other_scripts():
    zone = (
        "xn--bcher-kva.example TXT v=spf1 exists:%{d}.list.example -all\nxn--bcher-kva.example.list.example A 127.0.0.2"
    )
    finding, _ = check(zone, sender=("ann", "B\u00fccher.example"))
    assert (finding.result, finding.domain) == (Result.PASS, "xn--bcher-kva.example")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 exists:%{l}.list.example -all", "fail"),
        ("v=spf1 exists:%{S}.list.example -all", "fail"),
        ("v=spf1 include:%{l}.list.example -all", "fail"),
        ("v=spf1 exists:%{d}.list.example -all", "pass"),
        ("v=spf1 exists:%%{l}.list.example -all", "fail"),
        ("v=spf1 redirect=%{l}.list.example", "permerror"),
    ],
)
def test_a_local_part_in_another_script_matches_nothing(record, expected):
    more = "example.org.list.example A 127.0.0.2\n" + "%{l}.list.example A 127.0.0.2\n" * (expected == "pass")
    finding, resolver = check(f"example.org TXT {record}\n{more}", sender=("\u00e5nn", "example.org"))
    assert finding.result.value == expected
    assert all(name.isascii() for name, _ in resolver.queries)


def test_a_local_part_as_it_is():
    more = "a@b.list.example A 127.0.0.2"
    assert result("v=spf1 exists:%{l}.list.example -all", more, sender=("a@b", "example.org")) == "pass"
    finding, _ = check("", sender=("a b", "example.org"))
    assert finding.sender == '"a b"@example.org'


# What pyspf, left alone, does otherwise: (record, more of the zone, result).
MENDED = [
    ("v=spf1 REDIRECT=other.example", "other.example TXT v=spf1 +all", "pass"),
    ("v=spf1 Exp=nothing.example EXP=nothing.example -all", "", "permerror"),
    ("v=spf1 x=1 x=2 X=3 +all", "", "pass"),
    ("v=spf1 x=%{r}%{c}%{t} +all", "", "pass"),
    ("v=spf1 x=%{d0} +all", "", "permerror"),
    ("v=spf1 a:%{d0}.example +all", "", "permerror"),
    ("v=spf1 a:%{d2x}.example +all", "", "permerror"),
    ("v=spf1 a:%{d.example +all", "", "permerror"),
    ("v=spf1 a:%%%x.example +all", "", "permerror"),
    ("v=spf1 a:%%{d} +all", "", "permerror"),
    ("v=spf1 -exists +all", "", "permerror"),
    ("v=spf1 ip4:192.0.2.1/" + "1" * 5000 + " +all", "", "permerror"),
    ("v=spf1 a:%{d" + "9" * 5000 + "} -all", "example.org A 192.0.2.1", "pass"),
    ("v=spf1 exists:%{dR}.list.example -all", "org.example.list.example A 127.0.0.2", "pass"),
    ("v=spf1 exists:%{h-}.list.example -all", "mx.example.org.list.example A 127.0.0.2", "pass"),
    # Redirections count when they are followed.
    (
        "v=spf1 " + "a:a.example " * 9 + "a redirect=other.example",
        "a.example A 198.51.100.1\nexample.org A 192.0.2.1",
        "pass",
    ),
    # Failures of reverse lookups.
    ("v=spf1 ptr -all", "FAIL 1.2.0.192.in-addr.arpa PTR", "fail"),
    ("v=spf1 exists:%{p}.list.example -all", "FAIL 1.2.0.192.in-addr.arpa\nunknown.list.example A 127.0.0.2", "pass"),
    (
        "v=spf1 ptr -all",
        "1.2.0.192.in-addr.arpa PTR bad.example\n1.2.0.192.in-addr.arpa PTR a.example.org\n"
        "FAIL bad.example\na.example.org A 192.0.2.1",
        "pass",
    ),
    # The name that %{p} gives depends on the domain whose record it is in.
    (
        "v=spf1 exists:%{p}.one.example include:other.example -all",
        "1.2.0.192.in-addr.arpa PTR a.example.org\n1.2.0.192.in-addr.arpa PTR a.other.example\n"
        "a.example.org A 192.0.2.1\na.other.example A 192.0.2.1\n"
        "other.example TXT v=spf1 exists:%{p}.two.example -all\na.other.example.two.example A 127.0.0.2",
        "pass",
    ),
    # Hosts of one mx without an address for this client are one void lookup.
    (
        "v=spf1 mx -all",
        "".join(f"example.org MX {n} mx{n}.example.org\nmx{n}.example.org AAAA ::1\n" for n in range(5)),
        "fail",
    ),
    # Names that validate a client are in its own hands.
    ("v=spf1 ptr -all", "".join(f"1.2.0.192.in-addr.arpa PTR nothing{n}.example\n" for n in range(5)), "fail"),
    # A HELO name with macros in it is data.
    ("v=spf1 redirect=%{h}.example.org", "%{i}.example.org.example.org TXT v=spf1 a -all", "permerror"),
    # A null MX is no host.
    ("v=spf1 mx -all", "example.org MX 0 .", "fail"),
]


@pytest.mark.parametrize(("record", "more", "expected"), MENDED)
def test_as_the_rfc_says(record, more, expected):
    assert result(record, more) == expected


def test_what_a_helo_name_holds_is_not_expanded_again():
    zone = "example.org TXT v=spf1 include:%{h} -all\n%{i}.example TXT v=spf1 a -all\n%{i}.example A 192.0.2.1"
    finding, resolver = check(zone, helo="%{i}.example")
    assert finding.result is Result.PASS
    assert ("%{i}.example", "A") in resolver.queries


def test_terms_behind_the_match_are_not_looked_up():
    record = "v=spf1 ip4:192.0.2.1 a:%{p}.example exp=%{p}.example redirect=other.example"
    finding, resolver = check(f"example.org TXT {record}")
    assert finding.mechanism == "ip4:192.0.2.1"
    assert resolver.queries == [("example.org", "TXT")]


def test_hosts_behind_the_match_are_not_looked_up():
    zone = "example.org TXT v=spf1 mx -all\n" + "".join(f"example.org MX {n} mx{n}.example.org\n" for n in range(9))
    finding, resolver = check(zone + "mx0.example.org A 192.0.2.1")
    assert finding.result is Result.PASS
    assert len(resolver.queries) == 3


# Explanations: (TXT records at why.example, what is said).
EXPLANATIONS = [
    (["%{i} is not of %{d}"], "192.0.2.1 is not of example.org"),
    (["at %{t} by %{r} for %{c}"], "at 1700000000 by mx.receiver.example for 192.0.2.1"),
    (["100%% of %_ %-"], "100% of   %20"),
    (["%{x}"], ""),
    (["one", "two"], ""),
    ([], ""),
    (['"tab\\009"'], ""),
    (['"\\195\\188"'], ""),
    (["x" * 300], "x" * MAX_EXPLANATION),
    (["x" * 2000], ""),
    (["%{l}" * 200], "ann" * (MAX_EXPLANATION // 3) + "a"),
    (["from %{p}"], "from unknown"),
]


@pytest.mark.parametrize(("records", "said"), EXPLANATIONS)
def test_explanations(records, said):
    zone = "example.org TXT v=spf1 -all exp=why.example\n" + "".join(f"why.example TXT {text}\n" for text in records)
    finding, resolver = check(zone)
    assert (finding.result, finding.explanation) == (Result.FAIL, said)
    assert resolver.queries[:2] == [("example.org", "TXT"), ("why.example", "TXT")]


@pytest.mark.parametrize("qualifier", ["+", "?", "~"])
def test_only_a_fail_is_explained(qualifier):
    finding, resolver = check(f"example.org TXT v=spf1 {qualifier}all exp=why.example\nwhy.example TXT because")
    assert (finding.explanation, resolver.queries) == ("", [("example.org", "TXT")])


def test_what_is_explained_is_printable_ascii():
    finding, _ = check(
        "example.org TXT v=spf1 -all exp=why.example\nwhy.example TXT %{h} %{s}", helo="a\r\n\u2028b\udcff"
    )
    assert finding.explanation == "a???b? ann@example.org"
    finding, _ = check(
        "example.org TXT v=spf1 -all exp=why.example\nwhy.example TXT no, %{l}", sender=("\u00e5nn", "example.org")
    )
    assert finding.explanation == "no, ?nn"


def test_an_explanation_that_cannot_be_had_changes_nothing():
    finding, _ = check("example.org TXT v=spf1 -all exp=why.example\nFAIL why.example")
    assert (finding.result, finding.explanation, finding.reason) == (Result.FAIL, "", "")


def test_the_default_matches_when_nothing_does():
    finding, _ = check("example.org TXT v=spf1 ip4:198.51.100.1")
    assert (finding.result, finding.mechanism) == (Result.NEUTRAL, "default")


@pytest.mark.parametrize(
    ("record", "most", "why"),
    [
        ("v=spf1 a:a.example a:b.example a:c.example -all", 2, "budget"),
        ("v=spf1 ptr -all", 1, "budget"),
        ("v=spf1 ptr -all", 2, "budget"),
        ("v=spf1 exists:%{p}.example -all", 1, "budget"),
        ("v=spf1 a -all", 0, "budget"),
    ],
)
def test_a_spent_budget_decides_nothing(record, most, why):
    resolver = FakeResolver(f"example.org TXT {record}\n1.2.0.192.in-addr.arpa PTR a.example.org")
    budget = Budget(most, 10.0, FakeClock())
    ask = lambda name, kind: resolver.query(name, kind, budget)  # noqa: E731
    finding = check_spf(CLIENT, "mx.example.org", Address("ann", "example.org"), ask, 0.0, "mx.receiver.example")
    assert finding.result is Result.TEMPERROR
    assert why in finding.reason


def test_a_spent_budget_takes_the_explanation_alone():
    resolver = FakeResolver("example.org TXT v=spf1 -all exp=why.example\nwhy.example TXT because")
    budget = Budget(1, 10.0, FakeClock())
    ask = lambda name, kind: resolver.query(name, kind, budget)  # noqa: E731
    finding = check_spf(CLIENT, "mx.example.org", Address("ann", "example.org"), ask, 0.0, "mx.receiver.example")
    assert (finding.result, finding.explanation) == (Result.FAIL, "")


def rows(count, line):
    return "".join(line.format(n, n + 1) + "\n" for n in range(count))


WIDE_MX = rows(10, "example.org MX {} mx{}.example.org") + rows(11, "mx{}.example.org A 198.51.100.1")

# Hostile zones: (zone, client, result, most lookups).
HOSTILE = {
    "include bomb": (
        "example.org TXT v=spf1 include:i0.example\n"
        + "".join(
            f"i{n}.example TXT v=spf1 {' '.join(f'include:i{m}.example' for m in range(30))} -all\n" for n in range(30)
        ),
        CLIENT,
        "permerror",
        11,
    ),
    "include itself": ("example.org TXT v=spf1 include:example.org -all", CLIENT, "permerror", 11),
    "deep redirect": (
        "example.org TXT v=spf1 redirect=r0.example\n" + rows(50, "r{}.example TXT v=spf1 redirect=r{}.example"),
        CLIENT,
        "permerror",
        11,
    ),
    "wide mx": ("example.org TXT v=spf1 mx mx mx mx mx mx mx mx mx mx -all\n" + WIDE_MX, CLIENT, "fail", MOST_LOOKUPS),
    "wider mx": (
        "example.org TXT v=spf1 mx -all\n" + WIDE_MX + "example.org MX 99 mx.example.org",
        CLIENT,
        "permerror",
        2,
    ),
    "eleven terms": ("example.org TXT v=spf1 " + "mx " * 11 + "-all\n" + WIDE_MX, CLIENT, "permerror", MOST_LOOKUPS),
    "ptr flood": (
        "example.org TXT v=spf1 ptr ptr ptr ptr ptr exists:%{p}.x.example -all exp=why.example\nwhy.example TXT %{p}\n"
        + rows(500, "1.2.0.192.in-addr.arpa PTR a{}.example"),
        CLIENT,
        "fail",
        1 + 1 + 10 + 1 + 1,
    ),
    "in vain": (
        "example.org TXT v=spf1 " + "".join(f"a:n{n}.example " for n in range(10)) + "-all",
        CLIENT,
        "permerror",
        4,
    ),
    "many terms": ("example.org TXT v=spf1 " + "a " * 1001 + "-all", CLIENT, "permerror", 1),
    "100 KiB": ("example.org TXT v=spf1 " + "ip4:198.51.100.1 " * 6000 + "-all", CLIENT, "permerror", 1),
    "long macros": (
        "example.org TXT v=spf1 " + ("exists:" + "%{l1r-.+,/_=}" * 60 + ".example ") * 9 + "-all",
        CLIENT,
        "fail",
        10,
    ),
    "long label": ("example.org TXT v=spf1 exists:%{l}%{l}%{l}%{l}.example -all", CLIENT, "fail", 1),
    "long digits": ("example.org TXT v=spf1 a:." + "1" * 8000 + ". -all", CLIENT, "permerror", 1),
    "aliases in a circle": ("example.org CNAME a.example\na.example CNAME example.org", CLIENT, "temperror", 1),
    "ip6": (
        "example.org TXT v=spf1 " + "a:a.example " * 10 + "a -all\na.example AAAA 2001:db8::2",
        "2001:db8::1",
        "permerror",
        11,
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_records_stay_within_the_limits(case):
    zone, client, expected, most = HOSTILE[case]
    finding, resolver = check(zone, client, sender=("a" * 60, "example.org"))
    assert finding.result.value == expected
    assert len(resolver.queries) <= most
    assert all(len(name) <= 253 for name, _ in resolver.queries)
    assert len(finding.reason) <= 200


TERMS = st.one_of(
    st.sampled_from(
        "all a mx ptr exists include ip4 ip6 redirect= exp= x= a: mx: ptr: exists: include: ip4: ip6: / // /0 /32 /129"
        " . .. - + ~ ? %{ } %% %_ %- %{l} %{s} %{p} %{ir} %{D2} %{h.-r} %{t} : = , example.org a.example.org 192.0.2.1"
        " ::1 ::".split()
    ),
    st.text(st.characters(max_codepoint=255), max_size=6),
)
RECORDS = st.lists(st.lists(TERMS, max_size=4).map("".join), max_size=8).map(lambda terms: "v=spf1 " + " ".join(terms))


@given(
    records=st.lists(RECORDS, min_size=1, max_size=3),
    helo=st.text(max_size=12),
    local_part=st.text(max_size=12),
    client=st.sampled_from(["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"]),
    names=st.lists(
        st.text(st.characters(codec="ascii"), max_size=8).map(lambda text: f"{text}.example.org"), max_size=3
    ),
)
@settings(max_examples=300, deadline=None)
def test_no_record_causes_an_exception(records, helo, local_part, client, names):
    asked = []

    def ask(name, kind):
        asked.append(name)
        found = {
            "TXT": (records[len(asked) % len(records)].encode("latin-1"),),
            "PTR": tuple(names),
            "A": ("192.0.2.9",),
            "AAAA": ("2001:db8::9",),
            "MX": (),
        }[kind]
        return Answer(Status.FOUND if found else Status.NO_DATA, found, False, 0.0)

    path = Address(local_part, "example.org")
    finding = check_spf(client, helo, path, ask, 0.0, "mx.receiver.example")
    assert finding.result in Result
    assert len(asked) <= MOST_LOOKUPS
    for text in (finding.mechanism, finding.explanation, finding.reason):
        assert text.isascii() and text.isprintable() and len(text) <= MAX_EXPLANATION


def test_nothing_is_printed(capfd):
    for record, more, _ in MENDED:
        check(f"example.org TXT {record}\n{more}")
    check("example.org TXT v=spf1 -all\nexample.org TXT v=spf1 +all")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("zone", "why"),
    [
        ("example.org TXT v=spf1 -all", "SPF record v=spf1 -all"),
        ("example.org TXT V=SPF1   -ALL ", "SPF record v=spf1 -all"),
        ("example.org TXT other\nexample.org TXT v=spf1 -all", "SPF record v=spf1 -all"),
        ("example.org MX 0 .", "null MX"),
        ("example.org TXT v=spf1 +all\nexample.org MX 0 .", "null MX"),
        ("example.org TXT v=spf1 a -all", ""),
        ("example.org TXT v=spf1 -all exp=why.example", ""),
        ("example.org TXT v=spf1 ~all", ""),
        ("example.org TXT v=spf1 -all\nexample.org TXT v=spf1 -all ", ""),
        ("example.org TXT v=spf10 -all", ""),
        ("example.org MX 0 .\nexample.org MX 5 mx.example.org", ""),
        ("FAIL example.org", ""),
        ("FAIL example.org MX", ""),
        ("", ""),
    ],
)
def test_domains_that_send_nothing(zone, why):
    assert sends_nothing("Example.org", FakeResolver(zone).query) == why


def test_a_domain_that_is_none_sends_what_it_likes():
    resolver = FakeResolver()
    assert [sends_nothing(domain, resolver.query) for domain in ("", "[192.0.2.1]", "a..b", "\u00ad.example")] == [
        ""
    ] * 4
    assert resolver.queries == []
    zone = "xn--bcher-kva.example MX 0 ."
    assert sends_nothing("b\u00fccher.example", FakeResolver(zone).query) == "null MX"
