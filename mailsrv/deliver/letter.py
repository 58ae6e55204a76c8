"""The letter in a report: what happened to the message and what its sender can do, from the templates.

Every word that comes from outside (the original's subject, hosts, replies) is cleaned and bounded before it is put
in, and the lines of replies are indented, so that nothing a stranger wrote looks as if this server had said it. Times
are UTC in the one form that all languages read alike.

Diagnostics: raises nothing.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsrv.deliver.causes import find_cause
from mailsrv.deliver.templates import Templates
from mailsrv.mail.dsn import Kind, Letter, clean_status, is_reply, named
from mailsrv.mail.dsn_words import clean, clean_lines, decode_text
from mailsrv.mail.envelope import Envelope
from mailsrv.mail.header import Header
from mailsrv.mail.outcome import Outcome, Status

WIDTH = 76
MAX_TOLD = 25  # recipients that get a paragraph; the second part of the report has them all
_MAX_REPLY = 1000  # characters of a reply in the letter
_MAX_SUBJECT = 150
_DIVISION = "\n\n" + "-" * 30 + "\n\n"
# From how many seconds on a unit is used, and its length: two of it at least, so that little is rounded away.
_UNITS = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "hours"), (0, 60, "minutes"))


@dataclass(frozen=True, slots=True)
class Matter:
    """What the letter is about. `header` is the original's, `whole` tells that all of it is attached, `moment` and
    `retry_until` are seconds since the epoch, `hostname` and `postmaster` say who writes and who helps."""

    kind: Kind
    envelope: Envelope
    outcomes: Sequence[Outcome]
    header: Header
    whole: bool
    moment: float
    retry_until: float
    hostname: str
    postmaster: str


def write_letter(matter: Matter, languages: Sequence[Templates]) -> Letter:
    """The letter in each of the languages, one below the other; author and subject in the first."""
    first = languages[0]
    author = " ".join(first.fill("author", hostname=matter.hostname).split())
    text = _DIVISION.join(_write_text(matter, words) for words in languages)
    return Letter(author, _subject(matter, first), text, tuple(words.language for words in languages))


def _subject(matter: Matter, words: Templates) -> str:
    """The report's own subject."""
    addresses = [str(named(matter.envelope.recipients[outcome.recipient])) for outcome in matter.outcomes]
    if len(addresses) == 1:
        text = words.fill(f"subject.{matter.kind.value}.one", recipient=clean(addresses[0], 254))
    else:
        text = words.fill(f"subject.{matter.kind.value}.many", count=len(addresses))
    return " ".join(text.split())


def _write_text(matter: Matter, words: Templates) -> str:
    told = [_about(matter, outcome, words) for outcome in matter.outcomes[:MAX_TOLD]]
    if len(matter.outcomes) > MAX_TOLD:
        told.append(words.fill("more", count=len(matter.outcomes) - MAX_TOLD))
    subjects = matter.header.values(b"subject")
    subject = clean(decode_text(subjects[0]), _MAX_SUBJECT) if subjects else ""
    return words.fill(
        matter.kind.value,
        hostname=matter.hostname,
        postmaster=matter.postmaster,
        id=matter.envelope.id,
        subject=subject or words.fill("no-subject"),
        sent=_time(matter.envelope.received),
        recipients="\n\n".join(told),
        attached=words.fill("attached.message" if matter.whole else "attached.header"),
        waited=_duration(matter.moment - matter.envelope.received, words),
        until=_time(matter.retry_until),
    )


def _about(matter: Matter, outcome: Outcome, words: Templates) -> str:
    """The paragraph about one recipient: address, what happened, what to do, what was answered."""
    address = clean(str(named(matter.envelope.recipients[outcome.recipient])), 400)
    paragraphs = []
    if matter.kind is Kind.SUCCEEDED:
        paragraphs.append(words.fill(outcome.status.value))
    else:
        cause = find_cause(outcome)
        sentences = [words.fill(f"cause.{cause}")]
        if outcome.status is Status.FAILED:
            if clean_status(outcome).startswith("4"):
                waited = (outcome.at or matter.moment) - matter.envelope.received
                sentences.append(words.fill("gave-up", waited=_duration(waited, words)))
            paragraphs.append(" ".join(sentences))
            sentences = [words.fill(f"advice.{cause}")]
        paragraphs.append(" ".join(sentences))
    told = [_indent(" ".join(text.split()), 4) for text in paragraphs]
    reply = [_indent(line, 8) for line in clean_lines(outcome.reply, _MAX_REPLY)]
    if reply and matter.kind is not Kind.SUCCEEDED:
        who = "here" if not outcome.host else "host" if is_reply(outcome.reply) else "about"
        said = words.fill(f"said.{who}", host=clean(outcome.host, 300))
        told.append("\n".join([_indent(" ".join(said.split()), 4), *reply]))
    return "\n\n".join([address + "\n" + told[0], *told[1:]])


def _indent(text: str, depth: int) -> str:
    """Text as a paragraph with a margin. Words are not broken: an address or link in a reply stays whole."""
    margin = " " * depth
    return textwrap.fill(
        text, WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )


def _time(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%d %H:%M UTC")


def _duration(seconds: float, words: Templates) -> str:
    """`4 hours`: rounded to the unit that a person would use."""
    length, unit = next((length, unit) for least, length, unit in _UNITS if max(seconds, 0) >= least)
    count = max(round(seconds / length), 1)
    return words.fill("duration.minute") if count == 1 else words.fill(f"duration.{unit}", count=count)
