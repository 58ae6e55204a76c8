"""A log that keeps its events in a list, and holds each one against the vocabulary."""

from mailsrv.system.events import EVENTS
from mailsrv.system.log import LEVELS


class FakeLog:
    """`events` has (event, level, fields) in order; fields that are empty are left out, as in the real log."""

    def __init__(self):
        self.events = []
        self.reopened = 0
        self.level = "debug"
        self.owner = None

    def write(self, event, level, fields):
        assert event in EVENTS, f"{event} is not in the vocabulary"
        assert level in LEVELS
        assert list(fields) == list(EVENTS[event].fields), f"{event}: fields differ from the vocabulary"
        kept = {name: value for name, value in fields.items() if value or value == 0}
        self.events.append((event, level, kept))

    def set_level(self, word):
        self.level = word

    def reopen(self):
        self.reopened += 1

    def own(self, uid, gid):
        self.owner = (uid, gid)

    def named(self, event):
        """The fields of every event of this name."""
        return [fields for name, _, fields in self.events if name == event]
