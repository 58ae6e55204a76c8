"""One check by itself: the server's own, with its bounds, and what it comes to in all."""

import pytest

from mailsrv.authn.keys import Algorithm, make_private_key
from mailsrv.authn.findings import Policy, Result
from mailsrv.cli.rehearsal_checks import (
    Bench,
    Sender,
    look_up_policy,
    rehearse_arc,
    rehearse_dkim,
    rehearse_dmarc,
    rehearse_spf,
)
from mailsrv.cli.rehearsal_lookups import Transcript
from mailsrv.config.schema import ChecksConfig, Config
from mailsrv.mail.address import Address
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeResolver
from tests.fakes.signer import sign
from tests.mailsrv.authn.sealed import NOW, ZONE as KEYS, make_chain

KEY = make_private_key(Algorithm.ED25519)
ZONE = f"""\
far.example TXT v=spf1 ip4:192.0.2.7 -all
_dmarc.far.example TXT v=DMARC1; p=reject; sp=quarantine; t=y
news.far.example A 192.0.2.9
s._domainkey.far.example TXT {KEY.public.record}
none.example A 192.0.2.9
_dmarc.wrong.example TXT v=DMARC1; p=whatever
FAIL _dmarc.broken.example
FAIL s._domainkey.broken.example
"""
MESSAGE = b"From: a@far.example\r\nTo: b@example.org\r\nSubject: x\r\n\r\nhi\r\n"
SENDER = Sender("192.0.2.7", "mx.far.example", Address("a", "far.example"))
STRANGER = Sender("192.0.2.8", "mx.far.example", Address("a", "far.example"))


def bench(zone: str = ZONE, **checks: int) -> Bench:
    config = Config("mx.example.org", "", checks=ChecksConfig(**checks))
    bench.transcript = Transcript()
    return Bench(config, FakeResolver(zone), FakeClock(NOW), bench.transcript)


def signed(*domains: str, message: bytes = MESSAGE) -> bytes:
    """The message with a signature of each domain."""
    return b"".join(sign(message, KEY, {"d": domain, "s": "s"}) for domain in domains) + message


def test_spf() -> None:
    assert rehearse_spf(bench(), SENDER).result is Result.PASS
    found = rehearse_spf(bench(), STRANGER)
    assert (found.result, found.summary) == (Result.FAIL, "fail")
    assert [method for method, _rows in found.rows()] == ["spf"]
    assert found.to_json()[0]["method"] == "spf"
    assert list(bench.transcript.by_check()) == ["spf"]


@pytest.mark.parametrize(
    ("message", "result", "findings"),
    [
        (MESSAGE, Result.NONE, 1),
        (signed("far.example"), Result.PASS, 1),
        (signed("other.example"), Result.PERMERROR, 1),
        (signed("other.example", "far.example"), Result.PASS, 2),
        (signed("other.example", "broken.example"), Result.TEMPERROR, 2),
        (signed("broken.example", "far.example"), Result.PASS, 2),
        (signed("far.example") + b"more\r\n", Result.FAIL, 1),
        (b"", Result.NONE, 1),
    ],
)
def test_dkim(message: bytes, result: Result, findings: int) -> None:
    found = rehearse_dkim(bench(), message)
    assert (found.result, len(found.rows())) == (result, findings)


def test_the_bounds_are_those_of_the_configuration() -> None:
    message = signed("far.example", "far.example", "far.example")
    assert "2 more signatures were not looked at" in str(rehearse_dkim(bench(signatures=1), message).rows())
    found = rehearse_dkim(bench(lookups=10), signed(*["far.example"] * 10))
    assert found.result is Result.PASS
    zone = "".join(f"a{n}.example TXT v=spf1 include:a{n + 1}.example -all\n" for n in range(9))
    zone += "a9.example TXT v=spf1 mx -all\na9.example MX 10 m.example\nm.example A 192.0.2.7\n"
    found = rehearse_spf(bench(zone, lookups=10), Sender("192.0.2.7", "x", Address("a", "a0.example")))
    assert found.result is Result.TEMPERROR
    assert "budget of 10 DNS lookups" in str(found.rows())


def test_arc() -> None:
    assert rehearse_arc(bench(KEYS), make_chain(1)).result is Result.PASS
    assert rehearse_arc(bench(KEYS), make_chain(1) + b"more\r\n").result is Result.FAIL
    assert rehearse_arc(bench(), MESSAGE).result is Result.NONE


def test_dmarc_of_a_message() -> None:
    found = rehearse_dmarc(bench(), STRANGER, signed("far.example"))
    assert (found.result, found.summary) == (Result.PASS, "pass")
    assert [method for method, _rows in found.rows()] == ["spf", "dkim", "dmarc"]
    assert list(bench.transcript.by_check()) == ["spf", "dkim", "dmarc"]
    found = rehearse_dmarc(bench(), STRANGER, MESSAGE)
    assert (found.result, found.summary) == (Result.FAIL, "fail, policy quarantine")
    assert [method for method, _rows in found.rows()] == ["spf", "dmarc"]
    assert rehearse_dmarc(bench(), SENDER, MESSAGE).result is Result.PASS


@pytest.mark.parametrize(
    ("domain", "result", "place", "policy", "asked"),
    [
        ("far.example", Result.PASS, "far.example", Policy.QUARANTINE, Policy.REJECT),
        ("news.far.example", Result.PASS, "far.example", Policy.NONE, Policy.QUARANTINE),
        ("a.b.far.example", Result.PASS, "far.example", Policy.NONE, Policy.QUARANTINE),
        ("none.example", Result.NONE, "", None, None),
        ("wrong.example", Result.NONE, "wrong.example", None, Policy.NONE),
        ("broken.example", Result.TEMPERROR, "", None, None),
    ],
)
def test_the_policy_of_a_domain(
    domain: str, result: Result, place: str, policy: Policy | None, asked: Policy | None
) -> None:
    found = look_up_policy(bench(), domain)
    ((method, value),) = found.values
    assert method == "dmarc"
    assert (found.result, value.record_domain, value.policy, value.asked) == (result, place, policy, asked)
    assert bool(value.reason) is (result is not Result.PASS)
    assert found.summary
