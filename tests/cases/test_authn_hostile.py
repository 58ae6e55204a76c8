"""Hostile messages and a hostile DNS against every check of a sender: none raises, asks too much, or takes long.

Headers are made of pieces that mean something to the checks, in wrong places and amounts, and of octets that mean
nothing; the DNS answers every question with whatever it likes, or fails.
"""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsrv.authn.arc import validate_chain
from mailsrv.authn.arc_sets import MOST as MOST_SETS
from mailsrv.authn.dmarc import check_dmarc
from mailsrv.authn.evaluate import evaluate
from mailsrv.authn.findings import DkimFinding, Findings, Result, SpfFinding, Subject
from mailsrv.authn.verify import verify_signatures
from mailsrv.mail.address import Address
from mailsrv.mail.header import Header, scan
from mailsrv.system.dns_values import Answer, Budget, BudgetSpent, DnsFailure, MxRecord, Status
from tests.fakes.clock import FakeClock
from tests.mailsrv.authn.sealed import MESSAGE, NOW, SEALERS, Sealer, make_chain, seal_by_hand

MOST_SIGNATURES = 10
MOST_OF_DMARC = 55  # lookups, as mailsrv/authn/dmarc.py promises
BUDGET = 100
SECONDS = 2.0  # of CPU, for any message up to the limit of a header: some hundred times what is needed
HEADER_LIMIT = 1 << 20

HASH = b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
NAMES = [
    b"DKIM-Signature",
    b"ARC-Seal",
    b"ARC-Message-Signature",
    b"ARC-Authentication-Results",
    b"From",
    b"Subject",
    b"fRoM ",
    b"Authentication-Results",
]
WORDS = [
    b"v=1", b"v=2", b"v=", b"a=rsa-sha256", b"a=ed25519-sha256", b"a=rsa-sha1", b"a=", b"c=simple",
    b"c=relaxed/simple", b"c=/", b"d=example.org", b"d=b\xc3\xbccher.example", b"d=.", b"d=org", b"d=xn--\xff",
    b"d=" + b"a." * 120 + b"b", b"d=" + b"a" * 64 + b".example", b"s=s", b"s=_", b"s=a..b", b"s=*",
    b"s=\xe2\x80\xae", b"h=from", b"h=", b"h=::", b"h=" + b"from:" * 40 + b"to", b"h=arc-seal:from",
    b"h=dkim-signature:from", b"bh=" + HASH, b"bh=AAAA", b"bh==", b"b=AAAA", b"b=", b"b=A", b"b=" + b"A" * 3000,
    b"b = \r\n A", b"l=0", b"l=" + b"9" * 80, b"l=-1", b"q=dns/txt", b"t=0", b"t=99999999999999999999",
    b"t=\xd9\xa1", b"x=1", b"x=-", b"i=1", b"i=2", b"i=0", b"i=01", b"i=51", b"i=x@", b"i=@example.org",
    b"i=\xd9\xa1", b"i=" + b"1" * 5000, b"cv=none", b"cv=pass", b"cv=fail", b"cv=PASS", b"z=|||", b"=", b"==",
    b"a", b"\xff=\xfe", b"\x00=\x01", b"(", b"(((", b")", b"\\", b'"', b'"\\', b"<", b"<@", b"@",
    b"ada@example.org", b"<eve@b\xc3\xbccher.example>", b"group: a@a.example, b@b.example;", b"=?utf-8?q?=40?=",
    b",", b"(c\\)c)", b"a@[127.0.0.1]", b"\r\n ", b"\r\n\t", b" " * 50,
]
WORD = st.sampled_from(WORDS) | st.binary(max_size=20)
VALUE = st.builds(
    lambda words, glue: re.sub(rb"[\r\n](?![ \t])|(?<!\r)\n|\r(?!\n)", b"?", glue.join(words)),
    st.lists(WORD, max_size=14),
    st.sampled_from([b"; ", b";", b" ", b";\r\n\t", b""]),
)
# Complete fields with a tag or two replaced, so that more than the first of all tests is reached. bh= is the hash of
# the empty body.
USUAL = [b"a=rsa-sha256", b"c=relaxed/relaxed", b"d=example.org", b"s=s", b"b=AAAA", b"h=from", b"bh=" + HASH]
NOISE = st.lists(st.sampled_from([word for word in WORDS if b"=" in word[:4]]), max_size=2)


def write_field(name: bytes, tags: list[bytes], noise: list[bytes]) -> bytes:
    """A field with these tags but for those that the noise has as well."""
    replaced = {word.partition(b"=")[0] for word in noise}
    kept = [word for word in tags if word.partition(b"=")[0] not in replaced]
    return b"%b: %b\r\n" % (name, b"; ".join(kept + noise))


def write_chain(count: int, noises: list[list[bytes]]) -> bytes:
    """Sets 1 to `count`; the noises go into the fields of the newest one and of those before it, in turn."""
    fields = []
    for number in range(count, 0, -1):
        instance = b"i=%d" % number
        seal = [instance, b"cv=pass" if number > 1 else b"cv=none", *USUAL[:-2]]
        for name, tags in zip(NAMES[1:4], (seal, [instance, *USUAL], [instance, b"example.org"]), strict=True):
            fields.append(write_field(name, tags, noises.pop() if noises else []))
    return b"".join(fields)


FIELD = st.builds(b"%b: %b\r\n".__mod__, st.tuples(st.sampled_from(NAMES), VALUE))
SIGNATURE = st.builds(write_field, st.just(NAMES[0]), st.just([b"v=1", *USUAL]), NOISE)
CHAIN = st.builds(write_chain, st.integers(1, 4), st.lists(NOISE, max_size=3))
HEADERS = st.builds(
    lambda fields, chain: b"".join(fields) + chain, st.lists(FIELD | SIGNATURE, max_size=6), CHAIN | st.just(b"")
)
BODY = st.sampled_from([[], [b""], [b"\r", b"\n", b" ", b"\r\n"], [b"x" * 1000] * 3]) | st.lists(st.binary(max_size=9))

KEY = SEALERS[0].key.public.record.encode()
TXT = st.sampled_from([
    KEY, KEY.replace(b"k=rsa", b"k=ed25519"), b"v=DKIM1; p=", b"p=AAAA", b"v=DKIM1; k=rsa; p=%%",
    b"p=" + b"A" * 9000, b"v=DMARC1; p=reject", b"v=DMARC1; p=none; np=reject; psd=y",
    b"v=DMARC1; p=reject; psd=n; t=y", b"v=DMARC1;p=\xff", b"v=DMARC1; p=" + b"a;" * 4000, b"v=spf1 -all",
    b"v=spf1 ptr mx a include:%{d} redirect=%{d}", b"v=spf1 exp=%{i}",
    b"v=spf1 include:a.example include:b.example a mx -all", b"v=spf1 " + b"a:%{l1r-}.%{d} " * 11,
    b"v=spf1 exists:%{", b"v=spf1 redirect=%{d2}", b"v=spf1 ip4:1.2.3.4/99 ip6:::/-1", b"\xff" * 300, b"",
    b"v=spf1 " + b"%%%_%-" * 500,
]) | st.binary(max_size=60)
HOST = st.sampled_from(["a.example", "b.example", "", ".", "_x.y", "\\000.example", "a" * 63 + ".b", "x\\.y.b"])
RECORDS = {
    "TXT": st.lists(TXT, max_size=3),
    "A": st.lists(st.sampled_from(["192.0.2.1", "0.0.0.0"]), max_size=12),
    "AAAA": st.lists(st.sampled_from(["2001:db8::1", "::"]), max_size=12),
    "MX": st.lists(st.builds(MxRecord, st.integers(0, 65535), HOST), max_size=12),
    "PTR": st.lists(HOST, max_size=12),
}
ROUND = st.fixed_dictionaries({kind: st.none() | records for kind, records in RECORDS.items()})
WORLD = st.lists(ROUND, min_size=1, max_size=4)


class HostileDns:
    """Answers the n-th question by the n-th of its rounds, over and over; None is a failure. Counts."""

    def __init__(self, rounds, most: int | None = None) -> None:
        self.rounds = rounds
        self.most = most
        self.queries: list[tuple[str, str]] = []

    def ask(self, name: str, kind: str) -> Answer:
        assert isinstance(name, str) and name.isascii() and len(name) < 1024, name
        self.queries.append((name, kind))
        if self.most is not None and len(self.queries) > self.most:
            raise BudgetSpent(f"{name} {kind}: nothing is left")
        records = self.rounds[len(self.queries) % len(self.rounds)][kind]
        if records is None:
            raise DnsFailure(f"{name} {kind}: no answer")
        status = Status.FOUND if records else (Status.NO_DATA, Status.NO_NAME)[len(self.queries) % 2]
        return Answer(status, tuple(records), False, 0.0, name)


def read_header(octets: bytes) -> Header:
    header = scan(octets, True)
    assert header is not None
    return header


def read_texts(value: object) -> list[str]:
    """Every text of a finding, at any depth."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple):
        return [text for part in value for text in read_texts(part)]
    slots = getattr(type(value), "__slots__", ())
    return [text for slot in slots if slot[:1] != "_" for text in read_texts(getattr(value, slot))]


@given(HEADERS, BODY, WORLD)
def test_signatures(octets, body, world):
    dns = HostileDns(world)
    findings = verify_signatures(read_header(octets), lambda: body, dns.ask, NOW, MOST_SIGNATURES)
    assert len(dns.queries) <= MOST_SIGNATURES
    assert len(findings) <= MOST_SIGNATURES + 1
    assert not any(finding.result is Result.PASS for finding in findings)


@given(HEADERS, BODY, WORLD)
def test_chains(octets, body, world):
    dns = HostileDns(world)
    finding = validate_chain(read_header(octets), lambda: body, dns.ask, NOW)
    assert finding.result in (Result.NONE, Result.FAIL, Result.TEMPERROR)
    assert len(dns.queries) == len(set(dns.queries)) <= MOST_SETS + 1
    assert all(text.isascii() and text.isprintable() for text in read_texts(finding))


@given(HEADERS, st.sampled_from(Result), st.lists(st.sampled_from(Result), max_size=12), WORLD)
def test_policies(octets, spf, results, world):
    dns = HostileDns(world)
    signatures = [DkimFinding(result, f"s{number}.example.org", "s") for number, result in enumerate(results)]
    finding = check_dmarc(
        read_header(octets), SpfFinding(spf, "mailfrom", "a.b.example.org", "x@a.b.example.org"), signatures, dns.ask
    )
    assert len(dns.queries) <= MOST_OF_DMARC
    assert isinstance(finding.result, Result)


def check_all(octets: bytes, body, dns: HostileDns, **subject) -> Findings:
    """All checks of a message; the budget is that of the DNS that is handed in."""
    given_subject = {"client": "192.0.2.1", "helo": "h.example", "reverse_path": Address("a", "example.org"), **subject}
    return evaluate(
        Subject(header=read_header(octets), body=lambda: body, **given_subject), dns.ask, NOW, "mx.example", 10
    )


LOCAL_PARTS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=64)
DOMAINS = st.sampled_from(
    ["example.org", "a.b.c.d.e.f.g.h.i.example.org", "[192.0.2.1]", "b\u00fccher.example", "org", "x_y.z"]
)


@settings(max_examples=60)
@given(
    HEADERS,
    BODY,
    WORLD,
    st.sampled_from(["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", "", "unknown"]),
    st.text(max_size=70) | st.sampled_from(["h.example", "[192.0.2.1]", "[IPv6:::1]", "a" * 300 + ".example"]),
    st.none() | st.builds(Address, LOCAL_PARTS, DOMAINS),
)
def test_everything_within_a_budget(octets, body, world, client, helo, path):
    dns = HostileDns(world, most=BUDGET)
    findings = check_all(octets, body, dns, client=client, helo=helo, reverse_path=path)
    # One that is refused for want of budget is asked by each of the checks, and no more follow.
    assert len(dns.queries) <= BUDGET + 12
    assert findings.arc.result is not Result.PASS


def test_the_budget_of_a_message_is_never_exceeded():
    """With the budget that the server uses: what is over it never reaches the DNS."""
    message = MESSAGE
    for number in range(50):
        message = seal_by_hand(message, Sealer(f"h{number}.example", "s", SEALERS[0].key))
    world = [{"TXT": [KEY], "A": [], "AAAA": [], "MX": [], "PTR": ["a.example"] * 10}]
    dns = HostileDns(world)
    budget = Budget(30, 20.0, FakeClock())

    def ask(name: str, kind: str) -> Answer:
        with budget.spend(f"{name} {kind}"):
            return dns.ask(name, kind)

    header = read_header(message)
    finding = validate_chain(header, lambda: [message[header.length :]], ask, NOW)
    assert finding.result is Result.TEMPERROR
    assert len(dns.queries) == 30


def fill(octets: bytes, times: int = HEADER_LIMIT) -> bytes:
    """`octets` again and again, up to the size of the largest header."""
    return octets * (min(times * len(octets), HEADER_LIMIT - 20_000) // len(octets))


FROM = b"From: ada@example.org\r\n"
SEALED = make_chain(3)
LARGE = {
    "one field of a megabyte": b"DKIM-Signature: " + fill(b"a=b;\r\n "),
    "tags of no use": b"DKIM-Signature: v=1; " + b"".join(b"t%d=;" % n for n in range(80_000)),
    "space": b"DKIM-Signature: v=1;" + fill(b" \t\r\n ") + b"\r\nARC-Seal: i" + b" " * 1000 + b"=1",
    "many signatures": fill(b"DKIM-Signature: v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=" + HASH + b"; b=AAAA\r\n"),
    "large signatures": fill(
        b"DKIM-Signature: v=1; a=rsa-sha256; d=a.b; s=s; h=" + b"from:" * 12_000 + b"x; bh=" + HASH + b"; b=AAAA\r\n"
    ),
    "many fields that are signed": b"DKIM-Signature: v=1; a=rsa-sha256; d=a.b; s=s; bh=" + HASH
    + b"; b=AAAA; h=from" + b":x" * 30_000 + b"\r\n" + fill(b"x: " + b" \t" * 10 + b"\r\n", 30_000),
    "many fields of a chain": fill(b"ARC-Seal: i=1; cv=none\r\n"),
    "fifty sets of nothing": b"".join(
        b"%b: i=%d; cv=%b; a=rsa-sha256; d=a.b; s=s; h=from; bh=%b; b=AAAA; z=%b\r\n"
        % (name, number, b"pass" if number > 1 else b"none", HASH, b"x \t" * 2000)
        for number in range(1, 51)
        for name in NAMES[1:4]
    ),
    "comments": b"ARC-Authentication-Results: " + fill(b"(\\)") + b"\r\nFrom: " + b"(" * 16000,
    "closed comments": b"ARC-Authentication-Results: " + fill(b"(x)(\r\n y)") + b" i=1;",
    "instance far away": b"ARC-Seal: " + fill(b" ") + b"i=1",
    "authors": b"From: " + fill(b"a@example.org, ") + b"b@example.org",
    "authors in groups": b"From: " + b"g:" * 8000 + b"\r\n" + fill(b"From: <<<<@@@@>>>>\r\n"),
    "quotes": b'From: "' + b'\\"' * 8000 + b"\r\n" + fill(b'From: "\\" <\r\n'),
    "digits": b"ARC-Seal: i=" + b"9" * 500_000 + b"\r\nDKIM-Signature: v=1; t=" + b"9" * 60_000,
    "base64": b"DKIM-Signature: v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=" + HASH + b"; b=" + fill(b"A \r\n "),
    "three sets and much beside": fill(b"X: y\r\n") + SEALED.partition(b"\r\n\r\n")[0] + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_large_headers_take_no_time(name):
    octets = FROM + LARGE[name] + b"\r\n\r\n"
    assert len(octets) < HEADER_LIMIT
    dns = HostileDns([{"TXT": [KEY], "A": None, "AAAA": [], "MX": [], "PTR": []}], most=BUDGET)
    began = time.thread_time()
    findings = check_all(octets, [b"x\r\n"], dns)
    assert time.thread_time() - began < SECONDS
    assert findings.arc.result is not Result.PASS


@pytest.mark.parametrize(
    "record",
    [
        b"v=spf1 " + b"ip4:192.0.2.3 " * 4500,
        b"v=spf1 " + b"a " * 32_000,
        b"v=spf1 exists:" + b"%{L99r.-+,/_=}" * 4000,
        b"v=spf1 include:" + b"a." * 30_000,
        b"v=DMARC1; p=reject; rua=" + b"mailto:a@a.example," * 3000,
        b"v=DMARC1;" + b" \t" * 30_000,
        b"v=DKIM1; p=" + b"A " * 30_000,
        b"v=DKIM1; h=" + b"sha256:" * 9000,
        b";" * 65_000,
        b"\xff" * 65_000,
    ],
    ids=lambda record: record[:20].decode("latin-1"),
)
def test_large_records_take_no_time(record):
    dns = HostileDns([{"TXT": [record], "A": ["192.0.2.9"], "AAAA": [], "MX": [], "PTR": []}], most=BUDGET)
    began = time.thread_time()
    check_all(seal_by_hand(MESSAGE, SEALERS[0]), [b"x"], dns)
    assert time.thread_time() - began < SECONDS
