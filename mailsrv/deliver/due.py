"""Which report is due: a pure function of what the journal holds (RFC 3461 sections 4.1 and 5.2).

NOTIFY is obeyed; a message with the null reverse-path, which a report is, never gets one. Nobody is told twice: what
the journal names is not due again, and what it names without saying that it lies in the queue is restored as it was.
Nothing is written here (deliver/bounce) and no clock is asked.

Diagnostics: raises nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from mailsrv.config.schema import Config
from mailsrv.mail.dsn import Kind
from mailsrv.mail.envelope import DsnRequest, Envelope, Recipient
from mailsrv.mail.outcome import Outcome, Status

_GOOD = frozenset({Status.DELIVERED, Status.RELAYED, Status.EXPANDED})
# The word of NOTIFY that asks for each kind; a sender who gave no NOTIFY gets failures and delays (section 4.1).
_WORDS = {Kind.FAILED: "FAILURE", Kind.DELAYED: "DELAY", Kind.SUCCEEDED: "SUCCESS"}
_DEFAULT = ("FAILURE", "DELAY")


@dataclass(frozen=True, slots=True)
class Report:
    """A report that is due: its kind and the outcomes that it tells, in the order of the envelope's recipients."""

    kind: Kind
    outcomes: tuple[Outcome, ...]

    @property
    def recipients(self) -> tuple[int, ...]:
        """The indices of the recipients that it is about."""
        return tuple(outcome.recipient for outcome in self.outcomes)


class Named(Protocol):
    """A report that the journal names (spool/history.ReportNamed): its recipients get no other of its kind."""

    @property
    def kind(self) -> Kind: ...
    @property
    def recipients(self) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """`languages` of the letter, one below the other. `delay_report_seconds` 0: no delay reports. `return_limit`:
    octets of a message up to which RET=FULL returns all of it. `author`, `postmaster`: local parts or whole addresses,
    who writes the reports and whom they name for help."""

    hostname: str
    languages: tuple[str, ...] = ("en",)
    template_dir: str = ""
    author: str = "MAILER-DAEMON"
    postmaster: str = "postmaster"
    delay_report_seconds: float = 14400
    give_up_seconds: float = 432000
    return_limit: int = 256 << 10


def read_settings(config: Config) -> ReportSettings:
    """What the configuration says of reports; own templates lie in data_dir/templates unless it says otherwise."""
    return ReportSettings(
        hostname=config.hostname,
        languages=tuple(config.reports.languages),
        template_dir=config.reports.template_dir or f"{config.data_dir}/templates",
        author=config.reports.author,
        postmaster=_reachable(config.reports.postmaster, config),
        delay_report_seconds=config.queue.delay_report_seconds,
        give_up_seconds=config.queue.give_up_seconds,
        return_limit=config.reports.return_bytes,
    )


def _reachable(postmaster: str, config: Config) -> str:
    """A local part alone is one of a domain of ours: at the hostname nobody may get mail."""
    if "@" in postmaster or not config.domains or config.hostname in config.domains:
        return postmaster
    return f"{postmaster}@{config.domains[0]}"


def find_due(
    envelope: Envelope,
    outcomes: Mapping[int, Outcome],
    reported: Collection[Named],
    now: float,
    settings: ReportSettings,
    passed_on: Collection[int] = (),
) -> Report | None:
    """The next report that is due, None when there is none (any more).

    `outcomes`: the last one of each recipient that was tried, by its index; `reported`: what was journalled before;
    `passed_on`: recipients that were relayed to a host that offers DSN, which will confirm by itself (section 5.2.1).
    """
    if envelope.reverse_path is None:
        return None
    candidates = {
        Kind.FAILED: _failed(outcomes),
        Kind.SUCCEEDED: _succeeded(envelope, outcomes, passed_on),
        Kind.DELAYED: _delayed(envelope, outcomes, reported, now, settings),
    }
    for kind, told in candidates.items():
        done = {index for report in reported if report.kind is kind for index in report.recipients}
        wanted = tuple(
            outcome
            for outcome in told
            if outcome.recipient not in done and _wants(envelope.recipients[outcome.recipient], kind)
        )
        if wanted:
            return Report(kind, wanted)
    return None


def restore_report(envelope: Envelope, outcomes: Mapping[int, Outcome], named: Named) -> Report | None:
    """A report that was named in the journal and may not have been made: the same again, from the same journal. None
    when nothing of what it was about is so any more, which a journal of ours cannot say."""
    if named.kind is Kind.SUCCEEDED:
        told = _succeeded(envelope, outcomes, ())
    else:
        told = [outcome for outcome in outcomes.values() if outcome.status.value == named.kind.value]
    by_index = {outcome.recipient: outcome for outcome in told}
    found = tuple(by_index[index] for index in named.recipients if index in by_index)
    return Report(named.kind, found) if found else None


def next_delay_report(envelope: Envelope, settings: ReportSettings) -> float:
    """When the message must be looked at again for its delay report, in seconds since the epoch; 0 for never."""
    wanted = envelope.reverse_path is not None and any(_wants(one, Kind.DELAYED) for one in envelope.recipients)
    return envelope.received + settings.delay_report_seconds if wanted and settings.delay_report_seconds else 0.0


def onward_request(envelope: Envelope, index: int) -> DsnRequest:
    """What to ask of the next hop for a recipient. The members of an alias of several are not asked to confirm, since
    the alias was `expanded` (RFC 3461 section 5.2.7.3 c)."""
    recipient = envelope.recipients[index]
    request = recipient.dsn
    if "SUCCESS" not in request.notify or not _is_of_several(envelope, recipient):
        return request
    rest = tuple(word for word in request.notify if word != "SUCCESS")
    return replace(request, notify=rest or ("NEVER",))


def _wants(recipient: Recipient, kind: Kind) -> bool:
    return _WORDS[kind] in (recipient.dsn.notify or _DEFAULT)


def _is_of_several(envelope: Envelope, recipient: Recipient) -> bool:
    """Whether the recipient stands in the envelope together with others for one alias."""
    return len(_members(envelope, recipient)) > 1


def _members(envelope: Envelope, recipient: Recipient) -> list[int]:
    """The recipients that stand for the same alias as this one; none when there is no alias."""
    if recipient.original is None:
        return []
    key = recipient.original.key
    return [i for i, one in enumerate(envelope.recipients) if one.original is not None and one.original.key == key]


def _failed(outcomes: Mapping[int, Outcome]) -> list[Outcome]:
    return [outcomes[index] for index in sorted(outcomes) if outcomes[index].status is Status.FAILED]


def _delayed(
    envelope: Envelope,
    outcomes: Mapping[int, Outcome],
    reported: Collection[Named],
    now: float,
    settings: ReportSettings,
) -> list[Outcome]:
    """All that still wait, once per message."""
    age = now - envelope.received
    if not settings.delay_report_seconds or not settings.delay_report_seconds <= age < settings.give_up_seconds:
        return []
    if any(report.kind is Kind.DELAYED for report in reported):
        return []
    return [outcomes[index] for index in sorted(outcomes) if outcomes[index].status is Status.DELAYED]


def _succeeded(envelope: Envelope, outcomes: Mapping[int, Outcome], passed_on: Collection[int]) -> list[Outcome]:
    """Good news that somebody asked for; of an alias of several only one, as `expanded`, when the first of its members
    is reached."""
    told: dict[int, Outcome] = {}
    for index in sorted(outcomes):
        outcome = outcomes[index]
        recipient = envelope.recipients[index]
        if outcome.status not in _GOOD or not _wants(recipient, Kind.SUCCEEDED):
            continue
        members = _members(envelope, recipient)
        if len(members) > 1:
            first = members[0]
            told.setdefault(first, Outcome(first, Status.EXPANDED, "2.1.5", "", "", outcome.at))
        elif outcome.status is not Status.RELAYED or index not in passed_on:
            told[index] = outcome
    return [told[index] for index in sorted(told)]
