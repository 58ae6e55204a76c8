"""`mailrun cat`: one message as it lies in the queue: envelope, what was done about it, and its octets.

On a terminal control characters are shown as `?`; into a pipe or file the message goes octet for octet.

Diagnostics: StorageError when the disk refuses, GrammarError for a file that cannot be read; 1 when there is no such
message.
"""

import codecs
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from mailsrv.cli.queue_place import Place
from mailsrv.cli.queue_selectors import error_of, status_of
from mailsrv.cli.queue_table import clean
from mailsrv.errors import Exit
from mailsrv.spool.history import Attempt, Entry, Finished, Note, ReportNamed, ReportQueued, complete, decode
from mailsrv.spool.journal import LIMIT
from mailsrv.spool.summary import Summary, read_summary
from mailsrv.system.disk import Missing
from mailsrv.system.lock import locked_inodes

_BLOCK = 1 << 20


def cat(place: Place, identifier: str) -> int:
    """Print it on standard output."""
    summary = read_summary(place.disk, place.layout, identifier, locked_inodes())
    if summary is None:
        print(f"mailrun: {identifier} is not in the queue", file=sys.stderr)
        return Exit.FAILED
    print(f"*** ENVELOPE {identifier} ***")
    for line in describe(summary):
        print(line)
    print("*** JOURNAL ***")
    for line in _journal(place, summary):
        print(line)
    print("*** MESSAGE ***")
    sys.stdout.flush()
    _copy(place, summary)
    print("*** END ***")
    return Exit.OK


def describe(summary: Summary) -> Iterator[str]:
    """The envelope, one field on each line."""
    envelope = summary.envelope
    yield f"status: {status_of(summary)}"
    yield f"received: {_time(envelope.received)}"
    yield f"client: {clean(envelope.client)}"
    if envelope.account:
        yield f"account: {envelope.account}"
    if envelope.mailbox:
        yield f"mailbox: {envelope.mailbox}"
    yield f"size: {envelope.size}"
    yield f"next attempt: {_time(summary.next_attempt)}"
    yield f"sender: {clean(str(envelope.reverse_path or '<>'))}"
    parameters = envelope.parameters
    asked = {"ret": parameters.ret, "envid": parameters.envid, "smtputf8": "yes" if parameters.smtputf8 else ""}
    yield from (f"{name}: {clean(value)}" for name, value in asked.items() if value)
    for index, recipient in enumerate(envelope.recipients):
        more = [f"for {recipient.original}"] if recipient.original is not None else []
        more += [f"account {recipient.account}"] if recipient.account else []
        more += [f"notify {','.join(recipient.dsn.notify)}"] if recipient.dsn.notify else []
        outcome = summary.outcomes.get(index)
        more.append(outcome.status.value if outcome else "not tried")
        yield f"recipient {index}: {clean(str(recipient.address))} ({clean(', '.join(more))})"


def _journal(place: Place, summary: Summary) -> Iterator[str]:
    try:
        octets = place.disk.read(f"{place.layout.journal}/{summary.id}", LIMIT)
    except Missing:
        return
    # The first line is the nonce.
    for line in octets[: complete(octets)].splitlines()[1:]:
        yield from _entry(decode(line))


def _entry(entry: Entry) -> Iterator[str]:
    at = _time(entry.at)
    match entry:
        case Attempt():
            for outcome in entry.outcomes:
                yield f"{at} recipient {outcome.recipient} {outcome.status.value}: {clean(error_of(outcome))}"
            if entry.next:
                yield f"{at} waits until {_time(entry.next)}"
        case ReportNamed():
            about = ", ".join(map(str, entry.recipients))
            yield f"{at} report {entry.id} ({entry.kind.value}) about recipients {about}"
        case ReportQueued():
            yield f"{at} report {entry.id} is queued"
        case Note():
            yield f"{at} {clean(entry.action)} {clean(entry.text)}".rstrip()
        case Finished():
            yield f"{at} finished"


def _copy(place: Place, summary: Summary) -> None:
    """The message's octets."""
    is_terminal = sys.stdout.isatty()
    try:
        file = place.disk.open_file(summary.path)
    except Missing:
        return
    with file:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        offset, end = summary.start, summary.start + summary.envelope.size
        while offset < end and (octets := file.read_at(offset, min(_BLOCK, end - offset))):
            offset += len(octets)
            if is_terminal:
                lines = decoder.decode(octets).replace("\r\n", "\n").split("\n")
                sys.stdout.write("\n".join(clean(line.replace("\t", "    ")) for line in lines))
            else:
                sys.stdout.buffer.write(octets)
        sys.stdout.flush()


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
