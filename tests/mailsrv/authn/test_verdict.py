"""What is decided from what was found: the table of rules, each against the others."""

from dataclasses import replace
from itertools import product

import pytest

from mailsrv.authn.findings import (
    ArcFinding,
    DkimFinding,
    DmarcFinding,
    Findings,
    IprevFinding,
    Policy,
    Result,
    SpfFinding,
)
from mailsrv.authn.verdict import Action, Settings, decide, find_voucher

R = Result
SPF = SpfFinding(R.PASS, "mailfrom", "far.example", "a@far.example", "mx")
DKIM = DkimFinding(R.PASS, "far.example", "s1", algorithm="rsa-sha256", bits=2048)
DMARC = DmarcFinding(
    R.PASS, "far.example", "far.example", "far.example", Policy.REJECT, Policy.REJECT, (("spf", "far.example"),)
)
NO_DMARC = DmarcFinding(R.NONE, "far.example")
ARC = ArcFinding(R.PASS, ("list.example",), 1, "mx.list.example; dmarc=pass header.from=far.example")
UNSURE = replace(ARC, result=R.TEMPERROR)
GOOD = Findings("192.0.2.7", "mx.far.example", SPF, (DKIM,), DMARC, ArcFinding(R.NONE), IprevFinding(R.PASS, "mx.far"))
TRUSTING = Settings(sealers=frozenset({"list.example"}))


def failing(policy: Policy, **more: object) -> DmarcFinding:
    return replace(DMARC, **{"result": R.FAIL, "policy": policy, "asked": policy, "aligned": (), **more})


def decided(settings: Settings, **found: object) -> tuple[str, str, bool]:
    verdict = decide(replace(GOOD, **found), settings)
    code = f"{verdict.reply.code} {verdict.reply.enhanced}" if verdict.reply else ""
    assert (verdict.reply is None) is (verdict.action is Action.ACCEPT)
    return verdict.action.value, code, verdict.junk


ACCEPTED = ("accept", "", False)
JUNK = ("accept", "", True)
BY_DMARC = ("reject", "550 5.7.1", False)
BY_SPF = ("reject", "550 5.7.23", False)
LATER = ("defer", "451 4.4.3", False)
FAIL = replace(SPF, result=R.FAIL)
TEMP = replace(SPF, result=R.TEMPERROR)
UNSIGNED = replace(DKIM, result=R.FAIL)
STRICT = Settings(strict_spf=True)
SEVERAL = {"result": R.PERMERROR, "domain": ""}


@pytest.mark.parametrize(
    ("found", "settings", "wanted"),
    [
        ({}, Settings(), ACCEPTED),
        # DMARC
        ({"dmarc": failing(Policy.REJECT)}, Settings(), BY_DMARC),
        ({"dmarc": failing(Policy.QUARANTINE)}, Settings(), JUNK),
        ({"dmarc": failing(Policy.NONE)}, Settings(), ACCEPTED),
        ({"dmarc": replace(failing(Policy.REJECT), result=R.PERMERROR)}, Settings(), BY_DMARC),
        ({"dmarc": replace(failing(Policy.QUARANTINE), result=R.PERMERROR)}, Settings(), JUNK),
        ({"dmarc": replace(DMARC, result=R.TEMPERROR, could_reject=True)}, Settings(), LATER),
        ({"dmarc": replace(DMARC, result=R.TEMPERROR)}, Settings(), ACCEPTED),
        # a forwarder that is trusted
        ({"dmarc": failing(Policy.REJECT), "arc": ARC}, TRUSTING, ACCEPTED),
        ({"dmarc": failing(Policy.QUARANTINE), "arc": ARC}, TRUSTING, ACCEPTED),
        ({"dmarc": failing(Policy.REJECT), "arc": ARC}, Settings(), BY_DMARC),
        ({"dmarc": failing(Policy.REJECT), "arc": replace(ARC, result=R.FAIL)}, TRUSTING, BY_DMARC),
        ({"dmarc": replace(DMARC, result=R.TEMPERROR, could_reject=True), "arc": ARC}, TRUSTING, ACCEPTED),
        ({"dmarc": replace(DMARC, result=R.TEMPERROR, could_reject=True, domain=""), "arc": ARC}, TRUSTING, LATER),
        # who saw one author does not speak for several, but for one in a broken field
        ({"dmarc": failing(Policy.REJECT, **SEVERAL), "arc": ARC}, TRUSTING, BY_DMARC),
        ({"dmarc": failing(Policy.QUARANTINE, **SEVERAL), "arc": ARC}, TRUSTING, JUNK),
        ({"dmarc": failing(Policy.REJECT, **{**SEVERAL, "domain": "far.example"}), "arc": ARC}, TRUSTING, ACCEPTED),
        # whose key the DNS does not tell
        ({"dmarc": failing(Policy.REJECT), "arc": UNSURE}, TRUSTING, LATER),
        ({"dmarc": failing(Policy.REJECT), "arc": UNSURE}, Settings(), BY_DMARC),
        ({"dmarc": failing(Policy.REJECT), "arc": replace(UNSURE, sealers=())}, TRUSTING, BY_DMARC),
        ({"dmarc": failing(Policy.REJECT, **SEVERAL), "arc": UNSURE}, TRUSTING, BY_DMARC),
        ({"dmarc": failing(Policy.QUARANTINE), "arc": UNSURE}, TRUSTING, JUNK),
        ({"dmarc": failing(Policy.NONE), "arc": UNSURE}, TRUSTING, ACCEPTED),
        ({"spf": FAIL, "dkim": (), "dmarc": NO_DMARC, "arc": UNSURE}, TRUSTING, LATER),
        ({"spf": FAIL, "dkim": (), "dmarc": NO_DMARC, "arc": UNSURE}, Settings(), BY_SPF),
        ({"spf": FAIL, "arc": UNSURE}, replace(STRICT, sealers=TRUSTING.sealers), BY_SPF),
        ({"spf": FAIL, "dkim": (), "dmarc": NO_DMARC, "arc": ARC}, TRUSTING, ACCEPTED),
        # SPF alone
        ({"spf": FAIL}, Settings(), ACCEPTED),
        ({"spf": FAIL, "dkim": (), "dmarc": NO_DMARC}, Settings(), BY_SPF),
        ({"spf": FAIL, "dkim": (UNSIGNED,), "dmarc": NO_DMARC}, Settings(), BY_SPF),
        ({"spf": FAIL, "dmarc": NO_DMARC}, Settings(), ACCEPTED),
        ({"spf": FAIL, "dkim": (replace(DKIM, domain="example"),), "dmarc": NO_DMARC}, Settings(), BY_SPF),
        ({"spf": FAIL, "dkim": (replace(DKIM, domain="rfar.example"),), "dmarc": NO_DMARC}, Settings(), BY_SPF),
        ({"spf": FAIL, "dmarc": replace(NO_DMARC, domain="news.far.example")}, Settings(), ACCEPTED),
        ({"spf": FAIL, "dkim": (), "dmarc": DmarcFinding(R.PERMERROR)}, Settings(), BY_SPF),
        ({"spf": FAIL, "dmarc": failing(Policy.NONE)}, Settings(), ACCEPTED),
        ({"spf": FAIL, "dmarc": failing(Policy.REJECT)}, Settings(), BY_DMARC),
        ({"spf": FAIL, "dkim": (), "dmarc": replace(DMARC, result=R.TEMPERROR)}, Settings(), ACCEPTED),
        ({"spf": TEMP, "dkim": (), "dmarc": NO_DMARC}, Settings(), LATER),
        ({"spf": TEMP, "dmarc": NO_DMARC}, Settings(), ACCEPTED),
        ({"spf": TEMP}, Settings(), ACCEPTED),
        *(
            ({"spf": replace(SPF, result=one), "dkim": (), "dmarc": NO_DMARC}, settings, ACCEPTED)
            for one, settings in product((R.NONE, R.NEUTRAL, R.SOFTFAIL, R.PERMERROR, R.PASS), (Settings(), STRICT))
        ),
        # always
        ({"spf": FAIL}, STRICT, BY_SPF),
        ({"spf": TEMP}, STRICT, LATER),
        ({"spf": FAIL, "arc": ARC}, replace(STRICT, sealers=TRUSTING.sealers), BY_SPF),
        ({"spf": FAIL, "dmarc": failing(Policy.QUARANTINE)}, STRICT, BY_SPF),
        ({"spf": TEMP, "dmarc": failing(Policy.REJECT)}, STRICT, BY_DMARC),
        ({"spf": TEMP, "dmarc": failing(Policy.QUARANTINE)}, STRICT, LATER),
    ],
)
def test_table(found, settings, wanted) -> None:
    assert decided(settings, **found) == wanted


@pytest.mark.parametrize(
    ("found", "settings", "disposition", "override"),
    [
        ({}, Settings(), Policy.NONE, ""),
        ({"dmarc": failing(Policy.REJECT)}, Settings(), Policy.REJECT, ""),
        ({"dmarc": failing(Policy.QUARANTINE)}, Settings(), Policy.QUARANTINE, ""),
        ({"dmarc": failing(Policy.REJECT), "arc": ARC}, TRUSTING, Policy.NONE, "trusted_forwarder"),
        ({"dmarc": failing(Policy.NONE), "arc": ARC}, TRUSTING, Policy.NONE, ""),
        (
            {"dmarc": replace(failing(Policy.QUARANTINE), asked=Policy.REJECT)},
            Settings(), Policy.QUARANTINE, "policy_test_mode",
        ),
    ],
)  # fmt: skip
def test_what_reports_say(found, settings, disposition, override) -> None:
    verdict = decide(replace(GOOD, **found), settings)
    assert (verdict.disposition, verdict.override) == (disposition, override)


@pytest.mark.parametrize(
    ("arc", "trusted", "voucher"),
    [
        (ARC, {"list.example"}, "list.example"),
        (ARC, {"other.example"}, ""),
        (replace(ARC, authres="mx; spf=pass smtp.mailfrom=a.example"), {"list.example"}, ""),
        (replace(ARC, authres='mx; spf=fail reason="; dmarc=pass"'), {"list.example"}, ""),
        (replace(ARC, authres="mx; spf=fail (a (b) ; dmarc=pass)"), {"list.example"}, ""),
        (replace(ARC, authres="mx; dmarc=passable"), {"list.example"}, ""),
        (replace(ARC, authres="mx;DMARC = PASS (p=none)"), {"list.example"}, "list.example"),
        (replace(ARC, authres="mx; dmarc/1 = pass"), {"list.example"}, "list.example"),
        # a list behind a list: all of them are trusted, or only the first one's word counts
        (replace(ARC, sealers=("b.example", "a.example"), sets=2, authres="b; arc=pass"), {"b.example"}, ""),
        (
            replace(ARC, sealers=("b.example", "a.example"), sets=2, authres="b; arc=pass"),
            {"a.example", "b.example"}, "b.example",
        ),
        (replace(ARC, sealers=("b.example", "a.example"), sets=2, authres="b; dmarc=pass"), {"a.example"}, ""),
        (replace(ARC, authres="list; arc=pass"), {"list.example"}, ""),
        (replace(ARC, sealers=()), {""}, ""),
    ],
)  # fmt: skip
def test_who_vouches(arc, trusted, voucher) -> None:
    assert find_voucher(arc, frozenset(trusted)) == voucher


def test_each_finding_is_a_rule() -> None:
    changed = replace(UNSIGNED, reason="the body changed")
    found = replace(GOOD, dmarc=failing(Policy.REJECT), arc=ARC, dkim=(DKIM, changed))
    rules = decide(found, TRUSTING).rules
    assert [(one.name, one.input, one.result) for one in rules] == [
        ("iprev", "192.0.2.7", "pass mx.far"),
        ("spf", "mailfrom a@far.example from 192.0.2.7", "pass by mx"),
        ("dkim", "d=far.example s=s1 a=rsa-sha256", "pass"),
        ("dkim", "d=far.example s=s1 a=rsa-sha256", "fail (the body changed)"),
        ("arc", "1 sealed by list.example", "pass"),
        ("dmarc", "from far.example", "fail policy reject"),
        ("sealer", "list.example", "trusted"),
        ("sender", "far.example", "accept"),
    ]


def test_authors_without_a_domain_have_a_reason() -> None:
    authors = DmarcFinding(R.PERMERROR, policy=Policy.REJECT, asked=Policy.REJECT, reason="too many authors")
    reply = decide(replace(GOOD, dmarc=authors), Settings()).reply
    assert str(reply) == "550 5.7.1 rejected by DMARC: too many authors"


def test_what_a_domain_explains_is_text() -> None:
    found = replace(GOOD, spf=replace(FAIL, explanation="no\r\n250 ok é" + "x" * 999), dkim=(), dmarc=NO_DMARC)
    text = str(decide(found, Settings()).reply)
    assert text.startswith("550 5.7.23 SPF of far.example does not let this host send")
    assert "that domain explains: no??250 ok ?x" in text
    assert len(text) < 400
