"""What one message adds to the day's DMARC aggregate reports (RFC 9990 section 3): a value, as it is kept and counted.

Nothing here says more of a message than domains, selectors and results: no addresses and no text of it (section 8.2).

Diagnostics: raises nothing.
"""

from dataclasses import dataclass

from mailsrv.authn.findings import DmarcFinding, Findings, Policy, Result

# Why a policy was not applied as published (RFC 9990 section 3.1.6).
LOCAL_POLICY = "local_policy"
MAILING_LIST = "mailing_list"
TEST_MODE = "policy_test_mode"
TRUSTED_FORWARDER = "trusted_forwarder"
OTHER = "other"

MAX_RECORD = 4096  # characters of a policy record; no honest one has more
_MAX_SIGNATURES = 20
_MAX_COMMENT = 200
_MAX_TEXT = 255  # a domain name has no more


@dataclass(frozen=True, slots=True)
class SpfSeen:
    """What SPF found: `scope` is "mfrom" or "helo", `result` a word of RFC 8601 section 2.7.2."""

    domain: str
    scope: str
    result: str


@dataclass(frozen=True, slots=True)
class DkimSeen:
    """What one signature came to; `result` is a word of RFC 8601 section 2.7.1."""

    domain: str
    selector: str
    result: str


@dataclass(frozen=True, slots=True)
class Override:
    """Why the policy was not applied: `type` is one of the words above, `comment` for people."""

    type: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class DmarcRow:
    """One message. `time` is seconds since the epoch; `disposition` what was done to it for DMARC's sake (none,
    quarantine, reject), `asked` what the owner's record asks for when DMARC fails. `record` stands at `record_domain`.
    `spf_aligned` and `dkim_aligned` are pass or fail. `envelope_from` is "" for the null reverse-path, `envelope_to`
    "" when the recipients have several domains."""

    time: float
    id: str
    client: str
    header_from: str
    envelope_from: str
    envelope_to: str
    disposition: str
    asked: str
    record_domain: str
    organization: str
    record: str
    spf_aligned: str
    dkim_aligned: str
    spf: SpfSeen | None = None
    dkim: tuple[DkimSeen, ...] = ()
    reasons: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """What is known of a message beside its findings: as the fields of DmarcRow; `disposition` is what was done."""

    time: float
    id: str
    envelope_from: str
    envelope_to: str
    disposition: Policy
    reasons: tuple[Override, ...] = ()


def make_row(findings: Findings, passage: Passage) -> DmarcRow | None:
    """The row of a message; None when nobody wants to hear of it: no policy record, no rua in it, or an error that left
    DMARC without a result.

    Where the message failed and got less than the record asks for, and `passage` gives no reason, one is added: t=y, or
    a local policy (section 3.1.1.6 demands one)."""
    dmarc = findings.dmarc
    if dmarc.result not in (Result.PASS, Result.FAIL) or not wants_reports(dmarc.record):
        return None
    aligned = {method for method, _domain in dmarc.aligned}
    spf = findings.spf
    return DmarcRow(
        time=passage.time,
        id=passage.id,
        client=findings.client,
        header_from=dmarc.domain,
        envelope_from=passage.envelope_from[:_MAX_TEXT],
        envelope_to=passage.envelope_to[:_MAX_TEXT],
        disposition=passage.disposition.value,
        asked=dmarc.asked.value,
        record_domain=dmarc.record_domain,
        organization=dmarc.organization,
        record=dmarc.record,
        spf_aligned="pass" if "spf" in aligned else "fail",
        dkim_aligned="pass" if "dkim" in aligned else "fail",
        spf=SpfSeen(spf.domain[:_MAX_TEXT], "helo" if spf.identity == "helo" else "mfrom", spf.result.value),
        dkim=_signatures(findings),
        reasons=_reasons(dmarc, passage),
    )


def wants_reports(record: str) -> bool:
    """Whether a policy record asks for aggregate reports, as far as one sees without reading it; a wrong yes does no
    harm."""
    return len(record) <= MAX_RECORD and any(tag.strip()[:3].lower() == "rua" for tag in record.split(";"))


def _signatures(findings: Findings) -> tuple[DkimSeen, ...]:
    """Those first that say most about the author (section 3.1.4): passed and in the author's domain, passed and
    aligned, passed, others."""
    aligned = {domain for method, domain in findings.dmarc.aligned if method == "dkim"}
    author = findings.dmarc.domain
    ranked = sorted(
        findings.dkim,
        key=lambda one: (one.result is not Result.PASS, one.domain != author, one.domain not in aligned),
    )
    return tuple(
        DkimSeen(one.domain[:_MAX_TEXT], one.selector[:_MAX_TEXT], one.result.value)
        for one in ranked[:_MAX_SIGNATURES]
        if one.domain
    )


def _reasons(dmarc: DmarcFinding, passage: Passage) -> tuple[Override, ...]:
    given = tuple(Override(one.type, one.comment[:_MAX_COMMENT]) for one in passage.reasons)
    if given or dmarc.result is Result.PASS or passage.disposition is dmarc.asked:
        return given
    return (Override(TEST_MODE if dmarc.testing else LOCAL_POLICY),)
