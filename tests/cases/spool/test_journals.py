"""Journals of every version that was ever written, each in a directory of its own.

`journal` is the file, of a message of two recipients whose nonce is 0123456789abcdef; `history` the value that it
means, `complaint` how the reason begins for which it is refused. A journal that was once read has to be read for ever:
cases are added, never changed.
"""

from pathlib import Path

import pytest

from mailsrv.errors import GrammarError
from mailsrv.mail.dsn import Kind
from mailsrv.mail.outcome import Outcome, Status
from mailsrv.spool.history import History, Note, ReportNamed, complete, read_history

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/journal"))
NAMES = {kind.__name__: kind for kind in (History, Kind, Note, Outcome, ReportNamed, Status)}
NONCE = 0x0123456789ABCDEF


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_journal(case):
    octets = (case / "journal").read_bytes()
    whole = octets[: complete(octets)]
    if (case / "complaint").exists():
        with pytest.raises(GrammarError) as caught:
            read_history(whole, NONCE, 2)
        assert str(caught.value).startswith((case / "complaint").read_text().rstrip("\n"))
        return
    assert read_history(whole, NONCE, 2) == eval((case / "history").read_text(), {"__builtins__": {}}, NAMES)


def test_there_are_cases_of_both_kinds():
    assert {(case / "complaint").exists() for case in CASES} == {True, False}
