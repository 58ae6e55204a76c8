"""The queue on a screen: the table that Postfix made familiar, the same as JSON lines, and counts by domain and age.

Only texts are made here. Everything that came from other hosts is shown without control characters.

Diagnostics: raises nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from mailsrv.cli.queue_selectors import concerned_recipients, error_of, status_of
from mailsrv.mail.address import domain_key
from mailsrv.mail.envelope import Recipient
from mailsrv.spool.summary import Summary

HEAD = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
EMPTY = "Mail queue is empty"
_INDENT = " " * 48
_MARKS = {"active": "*", "held": "!"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

AGES = (5, 10, 20, 40, 80, 160, 320, 640, 1280)  # minutes, as qshape has them

# What messages can be counted by -> the values of one message, one for each recipient that counts.
KEYS: dict[str, Callable[[Summary], Iterable[str]]] = {
    "domain": lambda summary: (domain_key(one.address.domain) for _, one in _concerned(summary)),
    "sender": lambda summary: [str(summary.envelope.reverse_path or "<>")] * len(concerned_recipients(summary)),
    "status": lambda summary: [status_of(summary)] * len(concerned_recipients(summary)),
    "error": lambda summary: (
        summary.outcomes[index].dsn if index in summary.outcomes else "none"
        for index in concerned_recipients(summary)
    ),
}


def _concerned(summary: Summary) -> list[tuple[int, Recipient]]:
    """The recipients that count, with their indices."""
    return [(index, summary.envelope.recipients[index]) for index in concerned_recipients(summary)]


def table(summaries: Iterable[Summary]) -> Iterator[str]:
    """The lines of Postfix's mailq: `*` marks a message that is being delivered, `!` one that is held. Recipients stand
    below what keeps them waiting."""
    count = octets = 0
    for summary in summaries:
        if not count:
            yield HEAD
        envelope = summary.envelope
        mark = _MARKS.get(status_of(summary), " ")
        sender = clean(str(envelope.reverse_path or "MAILER-DAEMON"))
        yield f"{summary.id + mark:<17} {envelope.size:>8} {_arrival(envelope.received):<20} {sender}"
        groups: dict[str, list[str]] = {}
        for index, recipient in _concerned(summary):
            outcome = summary.outcomes.get(index)
            groups.setdefault(error_of(outcome) if outcome else "", []).append(str(recipient.address))
        for error, addresses in groups.items():
            if error:
                yield f"({clean(error)})"
            yield from (f"{_INDENT}{clean(address)}" for address in addresses)
        yield ""
        count += 1
        octets += envelope.size
    plural = "" if count == 1 else "s"
    yield f"-- {-(-octets // 1024)} Kbytes in {count} Request{plural}." if count else EMPTY


def to_json(summary: Summary) -> dict[str, object]:
    """One message for programs; times in seconds since the epoch. `recipients` are all of them."""
    envelope = summary.envelope
    recipients: list[dict[str, object]] = []
    for index, recipient in enumerate(envelope.recipients):
        row: dict[str, object] = {"address": str(recipient.address), "waiting": index in summary.waiting}
        if recipient.original is not None:
            row["original"] = str(recipient.original)
        if recipient.account:
            row["account"] = recipient.account
        if outcome := summary.outcomes.get(index):
            row |= {
                "status": outcome.status.value, "dsn": outcome.dsn, "reply": outcome.reply, "host": outcome.host,
                "at": outcome.at,
            }  # fmt: skip
        recipients.append(row)
    return {
        "id": summary.id,
        "status": status_of(summary),
        "sender": str(envelope.reverse_path or ""),
        "account": envelope.account,
        "client": envelope.client,
        "received": envelope.received,
        "size": envelope.size,
        "attempts": summary.attempts,
        "last_attempt": summary.last_attempt,
        "next_attempt": summary.next_attempt,
        "reports": [report.id for report in summary.reports],
        "notes": [{"action": note.action, "text": note.text, "at": note.at} for note in summary.notes],
        "recipients": recipients,
    }


def shape(summaries: Iterable[Summary], key: str, now: float, by_age: bool) -> Iterator[tuple[str, ...]]:
    """Rows of counts of recipients: heads, the total, then each value of the key, the greatest first. With ages
    there is a column for each bound in minutes, as qshape has it."""
    counts: dict[str, Counter[int]] = {}
    for summary in summaries:
        minutes = (now - summary.envelope.received) / 60
        column = sum(minutes >= bound for bound in AGES)
        for value in KEYS[key](summary):
            counts.setdefault(value, Counter())[column] += 1
    heads = [str(bound) for bound in AGES] + [f"{AGES[-1]}+"] if by_age else []
    yield ("", "T", *heads)
    total = sum(counts.values(), Counter())
    rows = sorted(counts.items(), key=lambda row: (-row[1].total(), row[0]))
    for value, row in [("TOTAL", total), *rows]:
        yield (clean(value), str(row.total()), *(str(row[column]) for column in range(len(heads))))


def clean(text: str) -> str:
    """A text that cannot steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _arrival(moment: float) -> str:
    """Local time without the year, as Postfix has it, in English whatever the language of the process."""
    date = datetime.fromtimestamp(moment)
    return f"{_DAYS[date.weekday()]} {_MONTHS[date.month - 1]} {date.day:>2} {date:%H:%M:%S}"
