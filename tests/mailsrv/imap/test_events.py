"""Events as values."""

from dataclasses import fields, is_dataclass
from typing import get_args

from mailsrv.imap import events
from mailsrv.imap.answers import bad


def test_events_are_frozen_values() -> None:
    for event in get_args(events.Event):
        assert is_dataclass(event)
        assert event.__dataclass_params__.frozen
        assert event.__doc__
    assert events.MessageStart((), None, 5) == events.MessageStart((), None, 5, False, False)
    assert events.IdleEnd() != events.IdleEnd(bad("expected DONE"))


def test_needs_are_no_events() -> None:
    assert not any(isinstance(need, get_args(events.Event)) for need in events.Need)
    assert [field.name for field in fields(events.Command)] == ["tag", "row", "arguments"]
