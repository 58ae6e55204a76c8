"""Chains of ARC Sets: what dkimpy seals validates here, and what is changed afterwards fails here and there.

tests/cases/authn/arc-NN-*/: message.eml, the zone with the keys, and in `expected` the finding, a line for each of its
values. The first three are the example of RFC 8617 appendix B, whose keys nobody has published; the others are sealed
with the keys of dkim-00-rfc8463, by dkimpy as far as it can.
"""

import re
from pathlib import Path

import pytest

from mailsrv.authn.arc import validate_chain
from mailsrv.authn.findings import ArcFinding, Result
from mailsrv.mail.header import scan
from mailsrv.system.dns_values import BudgetSpent
from tests.fakes.dns import FakeResolver
from tests.mailsrv.authn.sealed import (
    ED25519,
    MESSAGE,
    NOW,
    SEALERS,
    ZONE,
    Plan,
    Sealer,
    find_fields,
    judge_by_dkimpy,
    make_chain,
    read_records,
    seal_by_dkimpy,
    seal_by_hand,
    weak_record,
)

CHAINS = {count: make_chain(count) for count in range(4)}
ONE, TWO = CHAINS[1], CHAINS[2]
NAMES = (b"arc-seal", b"arc-message-signature", b"arc-authentication-results")
PASS, FAIL, TEMPERROR = Result.PASS, Result.FAIL, Result.TEMPERROR


def validate(message: bytes, zone: str | FakeResolver = ZONE, now: float = NOW, size: int = 1 << 18) -> ArcFinding:
    """The finding about a message whose body comes in blocks of `size` octets."""
    resolver = FakeResolver(zone) if isinstance(zone, str) else zone
    header = scan(message, True)
    assert header is not None
    body = message[header.length :]
    blocks = [body[start : start + size] for start in range(0, len(body), size)]
    return validate_chain(header, lambda: blocks, resolver.query, now)


def agree(message: bytes) -> Result:
    """The result, which dkimpy must share as far as pass or no pass goes."""
    finding = validate(message)
    verdict = judge_by_dkimpy(message, read_records())
    assert (finding.result is PASS) == (verdict == "pass"), f"{finding} but dkimpy: {verdict}"
    return finding.result


@pytest.mark.parametrize("count", CHAINS)
def test_chains_of_dkimpy(count):
    resolver = FakeResolver(ZONE)
    finding = validate(CHAINS[count], resolver)
    sealers = tuple(sealer.domain for sealer in reversed(SEALERS[:count]))
    if not count:
        assert finding == ArcFinding(Result.NONE)
    else:
        found = f"{sealers[0]}; spf=pass smtp.mailfrom=author.example" + "; arc=pass" * (count > 1)
        assert finding == ArcFinding(PASS, sealers, count, found)
    # One lookup for a key, though a set has two signatures by it.
    assert resolver.queries == [
        (f"{sealer.selector}._domainkey.{sealer.domain}", "TXT") for sealer in reversed(SEALERS[:count])
    ]


def test_dkimpy_validates_what_is_sealed_by_hand():
    message = MESSAGE
    for sealer in SEALERS:
        message = seal_by_hand(message, sealer)
        assert agree(message) is PASS
    assert agree(seal_by_dkimpy(message, SEALERS[0], "pass")) is PASS


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("count", [1, 3])
def test_body_in_small_blocks(count, size):
    assert validate(CHAINS[count], size=size).result is PASS


CASES = sorted((Path(__file__).parents[2] / "cases" / "authn").glob("arc-*"))
# Where dkimpy says something else, and why.
OTHERWISE = {
    "arc-07-ed25519": "it has no Ed25519 in ARC",
    "arc-24-length": "it trusts l=",
    "arc-26-author-not-covered": "it does not ask h= for From",
    "arc-32-utf8": "it asks the DNS for U-labels",
    "arc-34-fifty-one-sets": "it counts only what it seals itself",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases(case):
    message = (case / "message.eml").read_bytes()
    zone = (case / "zone").read_text()
    finding = validate(message, zone)
    assert [
        f"result {finding.result.value}",
        f"sealers {' '.join(finding.sealers)}".rstrip(),
        f"sets {finding.sets}",
        f"authres {finding.authres}".rstrip(),
        f"reason {finding.reason}".rstrip(),
    ] == (case / "expected").read_text().splitlines()
    assert [validate(message, zone, size=size) for size in (1, 2, 5, 40)] == [finding] * 4
    mangled = [mangle_case(message, change) for change in (bytes.upper, bytes.lower, bytes.swapcase)]
    if b"c=simple" not in message:
        assert [validate(other, zone) for other in mangled] == [finding] * 3
    verdict = judge_by_dkimpy(message, read_records(zone))
    assert ((verdict == "pass") is (finding.result is PASS)) is (case.name not in OTHERWISE)


def mangle_case(octets: bytes, change) -> bytes:
    """Every field's name changed, which relaxed forms do not see."""
    return re.sub(rb"(?m)^[A-Za-z-]+(?=:)", lambda match: change(match[0]), octets.partition(b"\r\n\r\n")[0]) + (
        octets[octets.index(b"\r\n\r\n") :]
    )


@pytest.mark.parametrize(
    "change",
    [bytes.upper, bytes.lower, bytes.swapcase, lambda name: name + b" ", lambda name: name + b"\t"],
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_header_in_other_case(count, change):
    assert validate(mangle_case(CHAINS[count], change)).result is PASS


@pytest.mark.parametrize("fold", [b"\r\n ", b"\r\n\t", b" \t ", b"\t\r\n \t"])
def test_header_folded_elsewhere(fold):
    """Relaxed: a run of white space is one space, wherever its lines end."""
    head, _, body = TWO.partition(b"\r\n\r\n")
    message = re.sub(rb"(?:\r\n)?[ \t]+", fold, head) + b"\r\n\r\n" + body
    assert message != TWO
    assert validate(message).result is PASS


def test_body_with_other_space():
    assert agree(TWO.replace(b"with two", b"with \t  two").replace(b"one.\r\n", b"one. \t\r\n") + b"\r\n\r\n") is PASS


def other(octet: int) -> bytes:
    """Another octet of the same kind, so that the message stays one."""
    return b"y" if octet == ord(b"x") else b"1" if octet == ord(b"2") else b"2" if chr(octet).isdigit() else b"x"


@pytest.mark.parametrize("offset", range(6))
def test_every_changed_octet(offset):
    """Each sixth octet in each of six tests: only what no set covers may change, and dkimpy, which is slow, agrees for
    each third one."""
    for position in range(offset, len(TWO), 6):
        line = TWO[TWO.rfind(b"\n", 0, position) + 1 : TWO.find(b"\n", position) + 1]
        covered = not line.startswith((b"Received:", b"Authentication-Results:"))
        if TWO[position] in b"\r\n \t" or not covered and TWO[position] == ord(":"):  # no header any more for dkimpy
            continue
        if TWO[position + 1] == ord("="):  # of the last letter of base64 some bits mean nothing
            continue
        message = TWO[:position] + other(TWO[position]) + TWO[position + 1 :]
        result = validate(message).result if offset % 3 else agree(message)
        assert result is (FAIL if covered else PASS), line


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("name", NAMES)
class TestAField:
    def test_missing(self, name, number):
        (field,) = find_fields(TWO, name, number)
        assert agree(TWO.replace(field, b"")) is FAIL

    def test_twice(self, name, number):
        (field,) = find_fields(TWO, name, number)
        assert agree(field + TWO) is FAIL

    def test_with_another_instance(self, name, number):
        (field,) = find_fields(TWO, name, number)
        for instance in (0, 3, 51):
            assert agree(TWO.replace(field, field.replace(b"i=%d;" % number, b"i=%d;" % instance))) is FAIL

    def test_elsewhere(self, name, number):
        """Sets count by their instance; dkimpy counts by place, and fails."""
        (field,) = find_fields(TWO, name, number)
        assert validate(field + TWO.replace(field, b"")).result is PASS


@pytest.mark.parametrize("name", NAMES)
def test_fields_change_their_sets(name):
    (first,), (second,) = find_fields(TWO, name, 1), find_fields(TWO, name, 2)
    message = TWO.replace(first, first.replace(b"i=1;", b"i=2;"))
    assert agree(message.replace(second, second.replace(b"i=2;", b"i=1;"))) is FAIL


def test_a_chain_cut_short():
    """Without its newest set a chain stands for the message as it was then."""
    message = TWO
    for name in NAMES:
        message = message.replace(find_fields(TWO, name, 2)[0], b"")
    assert agree(message) is PASS
    assert validate(message).sealers == ("lists.example",)


def test_a_chain_moved_to_another_message():
    head = TWO.partition(b"From: ")[0]
    assert agree(head + b"From: eve@bad.example\r\nSubject: pay\r\n\r\nNow.\r\n") is FAIL


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Another", b"An other", "ARC-Message-Signature of i=2: the body is not the one that was signed"),
        (b"Subject: [list]", b"Subject:", "ARC-Message-Signature of i=2: the signature does not verify"),
        (b"From: Ada", b"From: Eve <e@e.example>\r\nFrom: Ada", "ARC-Message-Signature of i=2: the signature does"),
        (b"i=2; gateway.example;\r\n spf=", b"i=2; gateway.example;\r\n x=", "ARC-Seal of i=2: the signature does"),
        (b"i=1; lists.example;\r\n spf=", b"i=1; lists.example;\r\n x=", "ARC-Seal of i=2: the signature does not"),
        (b"ARC-Seal: i=2; cv=pass;", b"ARC-Seal: i=2; cv=fail;", "the ARC-Seal of i=2 says cv=fail"),
        (b"ARC-Seal: i=2;", b"ARC-Seal: i=2; h=from;", "ARC-Seal of i=2: a seal has no h="),
        (b"ARC-Seal: i=2; cv=pass; a=rsa", b"ARC-Seal: i=2; cv=pass; a=dsa", "ARC-Seal of i=2: a= is not known"),
        (b"s=one;\r\n t=17", b"s=one;\r\n t=99", "ARC-Seal of i=1: the signature is from the future"),
    ],
)
def test_what_is_changed_is_named(old, new, reason):
    message = TWO.replace(old, new, 1)
    assert message != TWO
    assert agree(message) is FAIL
    assert validate(message).reason.startswith(reason)


def test_a_list_changes_what_the_set_before_it_signed():
    """The older message signature is broken, the chain is not (section 5.2, step 5)."""
    message = seal_by_dkimpy(ONE.replace(b"Subject:", b"Subject: Re:") + b"-- \r\na footer\r\n", SEALERS[1], "pass")
    assert agree(message) is PASS
    # Not even one that cannot be read, as long as it has its place.
    message = seal_by_hand(MESSAGE, SEALERS[0], Plan(more="q=dns/xml; l=x; ", fields=("date",)))
    assert validate(message).result is FAIL
    assert validate(seal_by_hand(message, SEALERS[1])).result is PASS


@pytest.mark.parametrize("sealers", [[ED25519], [*SEALERS, ED25519], [ED25519, ED25519, SEALERS[0]]])
def test_ed25519(sealers):
    message = MESSAGE
    for sealer in sealers:
        message = seal_by_hand(message, sealer)
    assert validate(message).result is PASS
    assert validate(message.replace(b"A line", b"a line")).result is FAIL
    forged = re.sub(rb"(ARC-Seal: .*b=)(.)", lambda found: found[1] + other(found[2][0]), message)
    assert validate(forged).result is FAIL


@pytest.mark.parametrize("canonical", ["simple/relaxed", "simple/simple", "relaxed/simple", "relaxed"])
def test_other_canonical_forms(canonical):
    _, _, simple = MESSAGE.partition(b"\r\n\r\n")
    relaxed = simple.replace(b"line  with", b"line with")
    body = relaxed if canonical.endswith("/relaxed") else simple
    message = seal_by_hand(MESSAGE, SEALERS[0], Plan(canonical=canonical, body=body))
    assert validate(message).result is PASS
    assert validate(message.replace(b"Subject: ", b"subject:  ")).result is (
        FAIL if canonical.startswith("simple") else PASS
    )


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (Plan(more="l=20; ", body=b"A line with two spaces.\r\n"[:20]), "l= lets anybody append to the body"),
        (Plan(more="l=0; ", body=b""), "l= lets anybody append to the body"),
        (Plan(more=f"x={NOW + 1}; "), ""),
        (Plan(more=f"x={NOW - 1}; "), "x= is not behind t="),
        (Plan(fields=("to", "subject")), "h= does not have From"),
        (Plan(fields=("from", "arc-seal")), "h= has ARC-Seal"),
        (Plan(fields=("from", "arc-authentication-results", "nothing")), ""),
        (Plan(more="v=1; z=From:x; unknown=; "), ""),
        (Plan(more="q=dns/xml; "), "q= has no method that is known"),
        (Plan(hash_name="sha1"), "a= is with SHA-1, which is not trusted any more"),
    ],
)
def test_message_signatures_that_are_not_usual(plan, reason):
    finding = validate(seal_by_hand(MESSAGE, SEALERS[0], plan))
    assert finding.result is (FAIL if reason else PASS)
    assert finding.reason.endswith(reason)


def test_a_signature_that_ended_since():
    message = seal_by_hand(MESSAGE, SEALERS[0], Plan(more=f"x={NOW + 60}; "))
    assert validate(message, now=NOW + 10**5).reason == "ARC-Message-Signature of i=1: the signature has expired"
    assert validate(message, now=NOW + 30).result is PASS


def test_a_chain_from_the_future():
    assert validate(ONE, now=NOW - 60).result is PASS
    finding = validate(ONE, now=NOW - 10**5)
    assert (finding.result, finding.reason) == (FAIL, "ARC-Seal of i=1: the signature is from the future")


@pytest.mark.parametrize("more", ["x=1; ", "unknown=; ", "bh=AAAA; ", "c=simple/simple; ", "l=0; "])
def test_tags_that_mean_nothing_in_a_seal(more):
    """All but those of section 4.1.3 are passed over, as unknown ones are: nothing is there for them to change."""
    assert validate(seal_by_hand(MESSAGE, SEALERS[0], Plan(seal_more=more))).result is PASS


@pytest.mark.parametrize("bits", [512, 768, 1023])
def test_short_keys(bits):
    """Not even tried, so that a number of this size serves for a key; nor trusted below a set that is sound."""
    sealer = Sealer("short.example", "s", SEALERS[0].key)
    record = sealer.record.replace(sealer.key.public.record, weak_record(bits))
    message = seal_by_hand(MESSAGE, sealer)
    assert validate(message, sealer.record).result is PASS
    finding = validate(message, record)
    assert (finding.result, finding.reason) == (FAIL, f"ARC-Message-Signature of i=1: key of {bits} bits")
    finding = validate(seal_by_hand(message, SEALERS[0]), ZONE + record)
    assert (finding.result, finding.reason) == (FAIL, f"ARC-Seal of i=1: key of {bits} bits")


KEY = "two._domainkey.gateway.example"
AMS, SEAL = "ARC-Message-Signature of i=2: ", "ARC-Seal of i=1: "


@pytest.mark.parametrize(
    ("zone", "result", "reason"),
    [
        ("", FAIL, AMS + "no key at the selector"),
        (SEALERS[0].record, FAIL, AMS + "no key at the selector"),
        (SEALERS[1].record, FAIL, SEAL + "no key at the selector"),
        (ZONE.replace("v=DKIM1; k=rsa; p=", "v=DKIM1; k=rsa; p=; n="), FAIL, AMS + "the key is revoked"),
        (ZONE.replace("k=rsa", "k=ed25519"), FAIL, AMS + "the key is for ed25519"),
        (ZONE.replace("k=rsa", "s=tlsrpt"), FAIL, AMS + "the key is not for mail (s=)"),
        (ZONE.replace("k=rsa", "h=sha1"), FAIL, AMS + "the key is not for SHA-256 (h=)"),
        (ZONE.replace("k=rsa", "t=s:y; s=email; h=sha1:sha256"), PASS, ""),
        (f"FAIL {KEY}\n" + ZONE, TEMPERROR, AMS + "no answer for the key: "),
        (f"FAIL {KEY} TXT\n" + ZONE, TEMPERROR, AMS + "no answer for the key: "),
        ("FAIL one._domainkey.lists.example\n" + ZONE, TEMPERROR, SEAL + "no answer for the key: "),
    ],
)
def test_keys(zone, result, reason):
    finding = validate(TWO, zone)
    assert finding.result is result
    assert finding.reason.startswith(reason)
    assert (finding.sealers, finding.sets) == (("gateway.example", "lists.example"), 2)


def test_domains_of_internationalized_mail():
    """RFC 8617 section 4.1.4: d= and s= may have U-labels, the DNS has A-labels, and what is signed stays as it is."""
    sealer = Sealer("b\u00fccher.example", "sch\u00f6n", SEALERS[0].key)
    message = seal_by_hand(MESSAGE, sealer, Plan(authres="spf=pass (gr\u00fc\u00dfe)"))
    resolver = FakeResolver("xn--schn-7qa._domainkey.xn--bcher-kva.example TXT " + SEALERS[0].record.split(" ", 2)[2])
    finding = validate(message, resolver)
    assert finding.result is PASS
    assert finding.sealers == ("xn--bcher-kva.example",)
    assert finding.authres == "b??cher.example; spf=pass (gr????e)"


class Counted:
    """An Ask that ends after some lookups."""

    def __init__(self, zone: str, most: int) -> None:
        self._resolver = FakeResolver(zone)
        self.most = most
        self.queries: list[tuple[str, str]] = []

    def query(self, name: str, kind: str):
        self.queries.append((name, kind))
        if len(self.queries) > self.most:
            raise BudgetSpent(f"{name} {kind}: the budget of {self.most} DNS lookups is used up")
        return self._resolver.query(name, kind)


def test_fifty_sets_with_fifty_keys():
    sealers = [Sealer(f"hop{number}.example", "s", SEALERS[0].key) for number in range(50)]
    message = MESSAGE
    for sealer in sealers:
        message = seal_by_hand(message, sealer)
    zone = "".join(sealer.record for sealer in sealers)
    resolver = FakeResolver(zone)
    finding = validate(message, resolver)
    assert (finding.result, finding.sets, len(resolver.queries)) == (PASS, 50, 50)
    spent = Counted(zone, 20)
    finding = validate(message, spent)
    assert (finding.result, len(spent.queries)) == (TEMPERROR, 21)
    assert "ARC-Seal of i=30: no answer for the key" in finding.reason
    # With its newest set forged the same chain costs one lookup.
    resolver = FakeResolver(zone)
    assert validate(message.replace(b"Subject: [list]", b"Subject:"), resolver).result is FAIL
    assert len(resolver.queries) == 1
    # And with its body changed none.
    resolver = FakeResolver(zone)
    assert validate(message + b"x", resolver).result is FAIL
    assert not resolver.queries


def test_the_body_is_read_once_and_not_for_what_is_no_chain():
    reads = []

    def read(message):
        header = scan(message, True)
        return validate_chain(
            header, lambda: reads.append(1) or [message[header.length :]], FakeResolver(ZONE).query, NOW
        ).result

    assert read(CHAINS[3]) is PASS
    assert len(reads) == 1
    assert read(MESSAGE) is Result.NONE
    assert read(b"ARC-Seal: i=1; cv=none\r\n" + MESSAGE) is FAIL
    assert len(reads) == 1
