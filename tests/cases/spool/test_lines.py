"""Queue files' first lines of every version that was ever written, each in a directory of its own.

`line` is the line; `envelope` the value that it means, `complaint` why it is refused. A line that was once read has to
be read for ever: cases are added, never changed.
"""

from pathlib import Path

import pytest

from mailsrv.errors import GrammarError
from mailsrv.mail.address import Address
from mailsrv.mail.envelope import DsnRequest, Envelope, MailParameters, Recipient
from mailsrv.spool.format import decode, encode_envelope

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/line"))
NAMES = {kind.__name__: kind for kind in (Address, DsnRequest, Envelope, MailParameters, Recipient)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_line(case):
    line = (case / "line").read_bytes()
    if (case / "complaint").exists():
        with pytest.raises(GrammarError) as caught:
            decode(line)
        assert str(caught.value) == (case / "complaint").read_text().rstrip("\n")
        return
    queued = decode(line)
    assert queued.envelope == eval((case / "envelope").read_text(), {"__builtins__": {}}, NAMES)
    assert decode(encode_envelope(queued.envelope, queued.nonce)) == queued


def test_there_are_cases_of_both_kinds():
    assert {(case / "complaint").exists() for case in CASES} == {True, False}
