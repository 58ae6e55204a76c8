"""FETCH of flags alone, which clients ask for all messages of a mailbox to learn what has changed: responses out of the
flag words as one text, without a row for any message (RFC 9051 section 7.5.2).

Nothing is sent here.

Diagnostics: MailboxGone and StorageError, from the index.
"""

from collections.abc import Iterable
from typing import Any

from mailsrv.imapd.fetch_output import format_all
from mailsrv.imapd.fetch_plan import Plan
from mailsrv.imapd.view import View

COLUMNS = ("uid", "flags")


def is_brief(plan: Plan) -> bool:
    """Whether a plan asks for nothing but flags, or UID and flags."""
    return plan.columns == COLUMNS and plan.flags and not plan.late


def make_responses(view: View, plan: Plan, start: int, stop: int) -> bytes | None:
    """The responses for the messages at these places of the view; None where some of them are not there any more."""
    uids = view.uids[start:stop]
    while True:
        words = view.box.flag_words(uids[0], uids[-1])
        kinds = set(words)
        if view.flags.hold(map(int, kinds)):
            break
    if len(words) != len(uids):
        return None
    texts = {word: view.flags.text(int(word)) for word in kinds}
    values: list[Iterable[Any]] = [uids if plan.uid_only else range(start + 1, stop + 1)]
    values += [map(texts.__getitem__, words) if plan.columns[at] == "flags" else uids for at, _ in plan.values]
    return format_all(plan.template, values)
