"""Actions by themselves: what they say when the message has changed since it was chosen. The rest: test_mailrun."""

from pathlib import Path

import pytest

from mailsrv.cli.queue_actions import ACTIONS, BUSY, GONE, Actions
from mailsrv.cli.queue_place import open_place
from mailsrv.deliver.due import find_due, read_settings
from mailsrv.mail.outcome import Status
from mailsrv.spool.summary import Summary, read_summary
from tests.mailsrv.cli.queue_house import House, build


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return build(tmp_path, monkeypatch)


def look(house: House, identifier: str) -> Summary:
    summary = read_summary(house.disk, house.layout, identifier)
    assert summary is not None
    return summary


@pytest.mark.parametrize("action", ["retry", "hold", "cancel", "delete", "reroute"])
def test_a_message_that_has_left_meanwhile(house: House, action: str) -> None:
    identifier = house.put()
    summary = look(house, identifier)
    with house.claims.try_claim(identifier) or pytest.fail("no claim") as claim:
        claim.finish()
    assert ACTIONS[action][0](Actions(open_place(str(house.config))), summary) == GONE


@pytest.mark.parametrize("action", ["cancel", "delete", "reroute"])
def test_a_message_that_somebody_works_on(house: House, action: str) -> None:
    identifier = house.put()
    summary = look(house, identifier)
    with house.claims.try_claim(identifier) or pytest.fail("no claim"):
        assert ACTIONS[action][0](Actions(open_place(str(house.config))), summary) == BUSY
    assert house.names("journal") == set()


def test_cancel_leaves_delivered_recipients_alone(house: House) -> None:
    from dataclasses import replace

    from mailsrv.mail.outcome import Outcome

    identifier = house.put("done@example.net", "late@example.net")
    with house.claims.try_claim(identifier) or pytest.fail("no claim") as claim:
        claim.record([replace(Outcome(0, Status.RELAYED, "2.0.0", "250 ok"), at=house.clock.now())])
    done = Actions(open_place(str(house.config)), "enough").cancel(look(house, identifier))
    assert done.words == "is cancelled for 1 recipient; a report goes to ada@example.com"
    (report,) = house.names("queue")
    text = Path(house.layout.queue, report).read_text()
    assert "late@example.net" in text
    assert "done@example.net" not in text


def test_a_report_that_was_named_before_a_crash_is_made_under_its_name(house: House) -> None:
    identifier = house.put()
    place = open_place(str(house.config))
    with house.claims.try_claim(identifier) or pytest.fail("no claim") as claim:
        from mailsrv.mail.outcome import Outcome

        claim.record([Outcome(0, Status.FAILED, "5.1.1", "550 no", "mx.example [192.0.2.1]", house.clock.now())])
        due = find_due(claim.envelope, claim.outcomes, claim.reports, house.clock.now(), read_settings(place.config))
        assert due is not None
        name = place.new_id()
        claim.journal_report(due.kind, name, due.recipients)
    Actions(place).cancel(look(house, identifier))
    assert house.names("queue") == {name}
