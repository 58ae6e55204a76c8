"""Which queued messages are meant: the options by which mailq and mailrun choose them, and the queue read through them.

Options of different names must all fit; one that is given several times fits if any of its values does. Patterns are
compared without case, `*` stands for any characters. Recipients that have their final outcome do not count, but for
those that failed in a message of which nobody waits any more (a report that is held because nobody takes it).

Diagnostics: argparse says what is wrong with an option; `select` raises StorageError, and tells files that cannot be
read to `complain`.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate

from mailsrv.errors import GrammarError
from mailsrv.mail.address import domain_key
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.layout import Layout
from mailsrv.spool.queueid import is_id
from mailsrv.spool.scan import list_ids
from mailsrv.spool.summary import Summary, read_summary
from mailsrv.system.disk import Disk
from mailsrv.system.lock import locked_inodes

STATUSES = ("new", "deferred", "active", "held")

_AGE = re.compile(r"(\d+)([smhdw]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Selection:
    """What was asked for; an empty tuple or None asks nothing. Ages are in seconds."""

    ids: tuple[str, ...] = ()
    senders: tuple[re.Pattern[str], ...] = ()
    recipients: tuple[re.Pattern[str], ...] = ()
    domains: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    errors: tuple[re.Pattern[str], ...] = ()
    older: float | None = None
    newer: float | None = None

    @property
    def is_everything(self) -> bool:
        """Whether no message is left out."""
        return self == Selection()

    def fits(self, summary: Summary, now: float) -> bool:
        """Whether a message is meant; `now` in seconds since the epoch."""
        age = now - summary.envelope.received
        if self.ids and summary.id not in self.ids:
            return False
        if (self.older is not None and age < self.older) or (self.newer is not None and age > self.newer):
            return False
        if self.statuses and status_of(summary) not in self.statuses:
            return False
        if self.senders and not _any(self.senders, [str(summary.envelope.reverse_path or "<>")]):
            return False
        return self._fits_recipients(summary)

    def _fits_recipients(self, summary: Summary) -> bool:
        """Each option by itself: who asks for a domain and an error means messages with both."""
        concerned = concerned_recipients(summary)
        recipients = [summary.envelope.recipients[index] for index in concerned]
        if self.recipients:
            addresses = [str(one.address) for one in recipients]
            addresses += [str(one.original) for one in recipients if one.original is not None]
            if not _any(self.recipients, addresses):
                return False
        if self.domains and not any(_is_in(domain_key(one.address.domain), self.domains) for one in recipients):
            return False
        if not self.errors:
            return True
        last = (summary.outcomes.get(index) for index in concerned)
        texts = [error_of(outcome) for outcome in last if outcome is not None]
        return any(pattern.search(text) for pattern in self.errors for text in texts)


def add_selectors(parser: argparse.ArgumentParser) -> None:
    """The options."""
    group = parser.add_argument_group("which messages")
    some: dict[str, object] = {"action": "append", "default": []}
    group.add_argument("--id", metavar="ID", type=_read_id, help="this queue ID", **some)  # type: ignore[arg-type]
    for option, name, meaning in (
        ("--from", "senders", "reverse-path: an address, @domain, or <> for reports; * for any characters"),
        ("--to", "recipients", "a recipient that waits, in the same way"),
    ):
        group.add_argument(
            option, dest=name, metavar="PATTERN", type=_read_pattern, help=meaning, **some  # type: ignore[arg-type]
        )  # fmt: skip
    group.add_argument(
        "--to-domain", dest="domains", metavar="DOMAIN", type=_read_domain,
        help="domain of a recipient that waits; .DOMAIN for all below it", **some,  # type: ignore[arg-type]
    )  # fmt: skip
    group.add_argument("--older", metavar="AGE", type=read_age, help="accepted longer ago: 90s, 10m, 2h, 3d, 1w")
    group.add_argument("--newer", metavar="AGE", type=read_age, help="accepted since")
    group.add_argument(
        "--status", dest="statuses", metavar="STATUS", choices=STATUSES, help=f"one of {', '.join(STATUSES)}",
        **some,  # type: ignore[arg-type]
    )  # fmt: skip
    group.add_argument(
        "--error", dest="errors", metavar="REGEX", type=_read_regex,
        help="found in the last error of a recipient that waits", **some,  # type: ignore[arg-type]
    )  # fmt: skip


def read_selection(arguments: argparse.Namespace, ids: Iterable[str] = ()) -> Selection:
    """What the options say; `ids` are further ones."""
    return Selection(
        ids=(*arguments.id, *ids),
        senders=tuple(arguments.senders),
        recipients=tuple(arguments.recipients),
        domains=tuple(arguments.domains),
        statuses=tuple(arguments.statuses),
        errors=tuple(arguments.errors),
        older=arguments.older,
        newer=arguments.newer,
    )


def select(
    disk: Disk, layout: Layout, selection: Selection, now: float, complain: Callable[[str], None]
) -> Iterator[Summary]:
    """The messages that are meant, in the order of their arrival; those that leave the queue meanwhile are left out."""
    locked = locked_inodes()
    for identifier in sorted(set(selection.ids)) or list_ids(disk, layout):
        try:
            summary = read_summary(disk, layout, identifier, locked)
        except GrammarError as error:
            complain(f"{identifier}: cannot be read, {error}; the runner will put it into {layout.corrupt}")
            continue
        if summary is not None and selection.fits(summary, now):
            yield summary


def concerned_recipients(summary: Summary) -> tuple[int, ...]:
    """The recipients (indices) because of whom a message is still there: who waits, or else who failed."""
    failed = (index for index, outcome in sorted(summary.outcomes.items()) if outcome.status is Status.FAILED)
    return summary.waiting or tuple(failed)


def status_of(summary: Summary) -> str:
    """One of STATUSES."""
    if summary.held:
        return "held"
    if summary.claimed:
        return "active"
    return "deferred" if summary.outcomes else "new"


def error_of(outcome: Outcome) -> str:
    """What kept a recipient waiting, in one line: `host said: 4.7.1 reply`."""
    reply = outcome.reply if outcome.dsn in outcome.reply else f"{outcome.dsn} {outcome.reply}"
    return f"host {outcome.host} said: {reply}" if outcome.host else reply


def read_age(text: str) -> float:
    """Seconds of `90s`, `10m`, `2h`, `3d`, `1w` or a bare number; for argparse."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age, must be like 90s, 10m, 2h, 3d or 1w")
    return float(match[1]) * _UNITS[match[2]]


def _read_id(text: str) -> str:
    if not is_id(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no queue ID")
    return text


def _read_pattern(text: str) -> re.Pattern[str]:
    """`@domain` and a bare domain mean everybody there."""
    if text not in ("<>", "*") and "@" not in text and "*" not in text:
        text = f"@{text}"
    if text.startswith("@"):
        text = f"*{text}"
    # Brackets stand in address literals, so they are no character classes here.
    return re.compile(translate(text.replace("[", "[[]")), re.IGNORECASE)


def _read_domain(text: str) -> str:
    return f".{domain_key(text[1:])}" if text.startswith(".") else domain_key(text)


def _read_regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None


def _any(patterns: Iterable[re.Pattern[str]], texts: list[str]) -> bool:
    return any(pattern.match(text) for pattern in patterns for text in texts)


def _is_in(domain: str, domains: Iterable[str]) -> bool:
    return any(domain.endswith(one) if one.startswith(".") else domain == one for one in domains)
