"""News: what a view has collected as untagged responses, in the order and at the time that clients may hear it.

EXPUNGE (or VANISHED) only where the command allows numbers to change; EXISTS and FETCH FLAGS with every command (RFC
9051 section 7.5.1). With QRESYNC, flags wait behind an EXPUNGE that must wait: their modseq would tell the client that
it knows everything before (RFC 7162 section 3.2). Behind ENABLE UIDONLY there are UIDFETCH and VANISHED (RFC 9586).

Diagnostics: MailboxGone and StorageError, when names of keywords must be read.
"""

from collections.abc import Iterable
from typing import Any

from mailsrv.imap import responses
from mailsrv.imapd.fetch_output import format_all
from mailsrv.imapd.view import View


def make_news(view: View, enabled: frozenset[str], renumber: bool) -> bytes:
    """The responses that may be sent now; nothing for none. `enabled`: what the session has enabled, in capitals;
    `renumber`: EXPUNGE may be among them."""
    out: list[bytes] = []
    if view.gone and renumber:
        out.append(_make_gone(view, enabled))
    if view.arrived:
        out.append(responses.exists(view.admit_arrived()))
    if view.changed and not (view.gone and "QRESYNC" in enabled):
        out.append(_make_changes(view, enabled))
    if view.flags.changed:
        # Named here by others; told before anybody sees them in FETCH.
        out.insert(0, make_flag_lines(view))
    return b"".join(out)


def make_flag_lines(view: View) -> bytes:
    """FLAGS and PERMANENTFLAGS."""
    view.flags.changed = False
    return b"* FLAGS (%b)\r\n* OK [PERMANENTFLAGS (%b)] limited\r\n" % (
        view.flags.all(),
        view.flags.permanent(view.read_only),
    )


def _make_gone(view: View, enabled: frozenset[str]) -> bytes:
    uids, numbers = view.drop_gone()
    if enabled & {"QRESYNC", "UIDONLY"}:
        return responses.vanished(uids)
    return b"".join([b"* %d EXPUNGE\r\n" % number for number in numbers])


def _make_changes(view: View, enabled: frozenset[str]) -> bytes:
    """FETCH with UID, FLAGS and, once the client has shown that it knows it, MODSEQ (RFC 7162 section 3.1)."""
    uids, words, modseqs = view.take_changes()
    texts = {word: view.flags.text(word) for word in set(words)}
    columns: list[Iterable[Any]] = [uids, map(texts.__getitem__, words)]
    template = b"* %d UIDFETCH (FLAGS (%b)"
    if "UIDONLY" not in enabled:
        columns.insert(0, view.numbers_at(uids))
        template = b"* %d FETCH (UID %d FLAGS (%b)"
    if enabled & {"CONDSTORE", "QRESYNC"}:
        columns.append(modseqs)
        template += b" MODSEQ (%d)"
    return format_all(template + b")\r\n", columns)
