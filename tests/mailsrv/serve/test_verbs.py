import os
from types import SimpleNamespace

import pytest

from mailsrv.config.schema import BansConfig, Config, ListenerConfig
from mailsrv.serve import verbs
from mailsrv.serve.bans import Bans
from mailsrv.serve.counts import TOTALS, Counts
from mailsrv.serve.generation import Child, Generation, State
from mailsrv.serve.worker import BoundListener
from mailsrv.system.disk import Disk
from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog


class FakeSupervisor:
    """What the verbs use of a supervisor."""

    def __init__(self, root):
        self.clock = FakeClock()
        self.log = FakeLog()
        self.counts = Counts(b"k" * 32, self.clock, 60)
        self.bans = Bans(str(root / "bans"), str(root / "lock"), Disk(), self.clock)
        self.told = []
        self.stopped = []
        self.began = self.clock.monotonic() - 12.5
        self.children = SimpleNamespace(tell=self.told.append)
        config = Config(hostname="h", data_dir="/d", bans=BansConfig(ban_seconds=77))
        listener = BoundListener(None, ListenerConfig(kind="smtp", port=2525))
        self.current = Generation(4, config, None, self.log, [listener])
        self.current.children[1] = Child(4711, 1, 1, None, self.clock.monotonic() - 3, State.READY)
        self.opening = SimpleNamespace(first=self.current, options=SimpleNamespace(config_path="/m.toml"))

    def generations(self):
        return [self.current]

    def status(self):
        return "serving"

    def reload(self, reply):
        reply({"ok": True, "generation": 5})

    def stop(self, reason, now):
        self.stopped.append((reason, now))


@pytest.fixture
def supervisor(tmp_path):
    return FakeSupervisor(tmp_path)


@pytest.fixture
def ask(supervisor):
    def ask(verb, **words):
        answers = []
        verbs.answer(supervisor, {"verb": verb, **words}, answers.append)
        [answer] = answers
        return answer

    return ask


def test_status(ask, supervisor):
    supervisor.counts.writer(supervisor.counts.claim()).opened("192.0.2.1")
    answer = ask("status")
    assert answer["workers"] == [
        {"kind": "smtpd", "number": 1, "generation": 4, "pid": 4711, "state": "ready", "seconds": 3.0}
    ]
    assert (answer["pid"], answer["state"]) == (os.getpid(), "serving")
    assert (answer["seconds"], answer["generation"]) == (12.5, 4)
    assert answer["listeners"] == ["smtp 127.0.0.1:2525"]
    assert answer["connections"] == 1 and set(answer["totals"]) == set(TOTALS) and answer["bans"] == 0
    assert answer["config"] == "/m.toml"


def test_who_and_kick(ask, supervisor):
    supervisor.counts.writer(supervisor.counts.claim()).enter("abc", "smtp", "192.0.2.1").account("alice")
    supervisor.clock.advance(5)
    session = {"id": "abc", "kind": "smtp", "client": "192.0.2.1", "account": "alice", "seconds": 5.0}
    assert ask("who") == {"ok": True, "sessions": [session]}
    assert ask("kick", id="abc") == {"ok": True}
    assert supervisor.told == ["kick abc"]
    assert "there is no session xyz" in ask("kick", id="xyz")["complaints"][0]


def test_bans(ask, supervisor):
    ban = {"network": "192.0.2.1", "seconds": 77, "reason": "by hand"}
    assert ask("ban-add", address="192.0.2.1") == {"ok": True, "ban": ban}
    assert ask("ban-add", address="2001:db8::1", seconds=5, reason="x")["ban"]["network"] == "2001:db8::/64"
    assert ask("ban-list")["bans"][0] == ban
    assert [event["address"] for event in supervisor.log.named("ban")] == ["192.0.2.1", "2001:db8::/64"]
    assert ask("ban-remove", address="2001:db8::99") == {"ok": True}
    assert supervisor.told == ["forget 2001:db8::/64"]
    assert supervisor.log.named("unban") == [{"address": "2001:db8::/64"}]
    assert "is not banned" in ask("ban-remove", address="198.51.100.1")["complaints"][0]
    for verb in ("ban-add", "ban-remove"):
        assert "is no IP address" in ask(verb, address="x\ny")["complaints"][0]


def test_failed_logins_are_forgotten_with_a_ban(ask, supervisor):
    slot = supervisor.counts.claim()
    writer = supervisor.counts.writer(slot)
    writer.login_failed("192.0.2.1")
    supervisor.counts.release(slot)
    ask("ban-add", address="192.0.2.1")
    ask("ban-remove", address="192.0.2.1")
    assert supervisor.counts.failures("192.0.2.1") == 0


def test_stop_and_reload(ask, supervisor):
    assert ask("stop") == {"ok": True, "pid": os.getpid()}
    ask("stop", now=True)
    assert [now for _, now in supervisor.stopped] == [False, True]
    assert ask("reload") == {"ok": True, "generation": 5}


def test_level(ask, supervisor):
    assert ask("level", level="error") == {"ok": True}
    assert supervisor.log.level == "error" and supervisor.told == ["level error"]


@pytest.mark.parametrize("verb", ["", "STATUS", "__class__", None])
def test_other_verbs(ask, verb):
    assert ask(verb)["complaints"] == [f"the verbs are {', '.join(verbs.VERBS)}"]


def test_a_bug_in_a_verb_is_one_refusal_and_one_line_in_the_log(ask, supervisor, monkeypatch):
    def fail(*_):
        raise OverflowError("a bug for the test")

    monkeypatch.setattr(supervisor.bans, "add", fail)
    assert not ask("ban-add", address="192.0.2.1")["ok"]
    [line] = supervisor.log.named("bug")
    assert "a bug for the test" in line["traceback"]
