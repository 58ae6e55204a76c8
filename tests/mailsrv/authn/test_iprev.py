"""The client's verified name, over zones of all kinds."""

import pytest

from mailsrv.authn.findings import IprevFinding, Result
from mailsrv.authn.iprev import MAX_LOOKUPS, check_iprev
from tests.fakes.dns import FakeResolver

FOUR = "1.2.0.192.in-addr.arpa"
SIX = "1.0.0.0." + "0.0.0.0." * 5 + "8.b.d.0.1.0.0.2.ip6.arpa"


def check(zone, client="192.0.2.1"):
    resolver = FakeResolver(zone)
    return check_iprev(client, resolver.query), resolver


@pytest.mark.parametrize(
    ("client", "zone", "name"),
    [
        ("192.0.2.1", f"{FOUR} PTR MX.example.org\nmx.example.org A 192.0.2.1", "mx.example.org"),
        ("::ffff:192.0.2.1", f"{FOUR} PTR mx.example.org\nmx.example.org A 192.0.2.1", "mx.example.org"),
        ("2001:db8::1", f"{SIX} PTR mx.example.org\nmx.example.org AAAA 2001:db8:0::1", "mx.example.org"),
        (
            "192.0.2.1",
            f"{FOUR} PTR a.example.org\n{FOUR} PTR b_1.example.org\nb_1.example.org A 192.0.2.1",
            "b_1.example.org",
        ),
        (
            "192.0.2.1",
            f"{FOUR} PTR a.example.org\n{FOUR} PTR b.example\nFAIL a.example.org\nb.example A 192.0.2.1",
            "b.example",
        ),
        (
            "192.0.2.1",
            f"{FOUR} CNAME 1.x.example\n1.x.example PTR a.example\na.example A 192.0.2.9\na.example A 192.0.2.1",
            "a.example",
        ),
    ],
)
def test_verified(client, zone, name):
    assert check(zone, client)[0] == IprevFinding(Result.PASS, name)


@pytest.mark.parametrize(
    ("zone", "result", "why"),
    [
        ("", Result.PERMERROR, "192.0.2.1 has no name"),
        (f"FAIL {FOUR}", Result.TEMPERROR, f"{FOUR} PTR"),
        (f"{FOUR} PTR a.example", Result.FAIL, "a.example does not lead back to 192.0.2.1"),
        (f"{FOUR} PTR a.example\na.example A 192.0.2.2", Result.FAIL, "a.example does not lead back"),
        (f"{FOUR} PTR a.example\na.example AAAA ::1", Result.FAIL, "a.example does not lead back"),
        (f"{FOUR} PTR a.example\n{FOUR} PTR b.example", Result.FAIL, "its names do not lead back"),
        (f"{FOUR} PTR a.example\n{FOUR} PTR b.example\nFAIL b.example", Result.TEMPERROR, "b.example A"),
        (f"{FOUR} PTR a\\013\\010b.example\na\\013\\010b.example A 192.0.2.1", Result.FAIL, "could not lead back"),
        (f"{FOUR} PTR a\\(b.example\na\\(b.example A 192.0.2.1", Result.FAIL, "could not lead back"),
    ],
)
def test_not_verified(zone, result, why):
    finding, _ = check(zone)
    assert (finding.result, finding.name) == (result, "")
    assert why in finding.reason


@pytest.mark.parametrize("client", ["", "local", "192.0.2.300"])
def test_no_address(client):
    finding, resolver = check("", client)
    assert (finding.result, resolver.queries) == (Result.PERMERROR, [])


@pytest.mark.parametrize(("names", "most"), [(10, 1 + MAX_LOOKUPS), (11, 1), (300, 1)])
def test_a_client_with_many_names(names, most):
    finding, resolver = check("".join(f"{FOUR} PTR a{n}.example\n" for n in range(names)))
    assert finding.result is Result.FAIL
    assert len(resolver.queries) == most
