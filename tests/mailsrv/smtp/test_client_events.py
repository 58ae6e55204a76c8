"""The classes of answers, and the phases' table."""

import pytest

from mailsrv.mail.reply import Reply
from mailsrv.smtp.client_events import TIMEOUTS, Answer, Phase, Stage


@pytest.mark.parametrize(("code", "classes"), [(250, "100"), (251, "100"), (354, "010"), (452, "010"), (550, "001")])
def test_every_answer_is_of_one_class(code: int, classes: str) -> None:
    answer = Answer(Reply(code, "", "x"), Stage.END)
    found = (answer.is_accepted, answer.is_temporary, answer.is_permanent)
    assert "".join(str(int(word)) for word in found) == classes


def test_every_phase_has_its_timeout() -> None:
    assert set(TIMEOUTS) == set(Phase)
    assert all(seconds > 0 for seconds in TIMEOUTS.values())
