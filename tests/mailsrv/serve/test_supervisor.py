"""The supervisor's decisions, with real processes that serve nobody; tests/whole has the real server."""

import os
import signal
import socket
from types import SimpleNamespace

import pytest

from mailsrv.config.schema import Config, LimitsConfig, ListenerConfig
from mailsrv.errors import ConfigError, Exit
from mailsrv.serve.bans import Bans
from mailsrv.serve.children import Services
from mailsrv.serve.counts import Counts
from mailsrv.serve.generation import Generation
from mailsrv.serve.opening import Options
from mailsrv.serve.privileges import Identity
from mailsrv.serve.supervisor import SIGNALS, STARTS, Supervisor
from mailsrv.serve.worker import BoundListener
from mailsrv.system.clock import SystemClock
from mailsrv.system.disk import Disk
from tests.fakes.log import FakeLog

DEADLINE = 20.0


class QuietService:
    def __init__(self, context):
        self.context = context

    def start(self, listeners):
        if self.context.config.hostname == "dies":
            os._exit(1)
        if self.context.config.hostname == "refuses":
            raise ConfigError(["this cannot be"])

    def stop_accepting(self):
        pass

    def drain(self, idle_seconds, busy_seconds):
        pass

    def sessions_left(self):
        return 0

    def kick(self, session_id):
        return True


class FakeNotifier:
    def __init__(self):
        self.said = []

    def ready(self, text):
        self.said.append(text)

    def reloading(self):
        self.said.append("reloading")

    def stopping(self, seconds):
        self.said.append(f"stopping within {seconds:g}")


class FakePremises:
    def __init__(self, root):
        self.root = root
        (root / "run").mkdir()

    def path(self, name):
        return str(self.root / name)

    def holder(self):
        return str(os.getpid())

    def leave_to_set(self):
        pass


class FakeOpening:
    """Generations of two quiet workers; `next_name` is the hostname of the next one, which says how it behaves."""

    def __init__(self, root, name):
        self.options = Options("mailsrv.toml", certificate_seconds=0.02)
        self.clock = SystemClock()
        self.log = FakeLog()
        self.premises = FakePremises(root)
        self.notifier = FakeNotifier()
        counts = Counts(b"k" * 32, self.clock, 60)
        bans = Bans(str(root / "bans"), str(root / "bans.lock"), Disk(), self.clock)
        identity = Identity(os.geteuid(), os.getegid(), "x", False)
        self.services = Services(QuietService, counts, bans, self.premises, identity, self.clock)
        self.next_name = "good"
        self.renewed = 0
        self.kept = []
        self.first = self.make(1, name)

    def make(self, number, name):
        config = Config(hostname=name, data_dir="/nowhere", limits=LimitsConfig(workers=2))
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listener = ListenerConfig(kind="smtp", port=listening.getsockname()[1])
        return Generation(number, config, None, self.log, [BoundListener(listening, listener)])

    def check(self):
        if self.next_name == "wrong":
            raise ConfigError(["one", "two"])

    def open_next(self, current):
        self.check()
        return self.make(current.number + 1, self.next_name)

    def renew(self, current):
        self.renewed += 1
        if self.next_name == "wrong":
            raise ConfigError(["no certificate"])
        return self.make(current.number + 1, "good")

    def report_certificates(self, generation):
        pass

    def report_kept(self, generation, error):
        self.kept.append(str(error))
        generation.files = ()


@pytest.fixture
def serve(tmp_path):
    """Runs a supervisor with a script: each step is called again and again until it gives true, then the next one."""
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def run(*script, name="good"):
        opening = FakeOpening(tmp_path, name)
        ready = []
        supervisor = Supervisor(opening, lambda: ready.append(True))
        steps = list(script)
        end = opening.clock.monotonic() + DEADLINE

        def step():
            if steps and steps[0](supervisor):
                steps.pop(0)
            if opening.clock.monotonic() > end:
                supervisor.stop("the script does not end")
            if not supervisor.stopping:
                supervisor._timers.after(0.005, step)

        supervisor._timers.after(0, step)
        code = supervisor.run()
        assert steps == [], "the script came to its end"
        return SimpleNamespace(
            code=code,
            reason=supervisor.reason,
            ready=ready,
            log=opening.log,
            opening=opening,
            said=opening.notifier.said,
        )

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def serving(number):
    return lambda supervisor: supervisor.status() == "serving" and supervisor.current.number == number


def stop(supervisor):
    supervisor.stop("test")
    return True


def send(number):
    def step(supervisor):
        os.kill(os.getpid(), number)
        return True

    return step


def reload(answers, name="good"):
    def step(supervisor):
        supervisor.opening.next_name = name
        supervisor.reload(answers.append)
        return True

    return step


def test_from_ready_to_stop(serve):
    done = serve(serving(1), stop)
    assert done.code == 0 and done.ready == [True]
    [ready] = done.log.named("ready")
    assert ready["workers"] == 2
    assert [event["state"] for event in done.log.named("worker")].count("ended") == 2
    assert done.log.named("stop") == [{"reason": "test"}]
    assert done.said == ["serving, generation 1", "stopping within 600"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_stop(serve, number):
    done = serve(serving(1), send(number))
    assert done.code == 0 and done.log.named("stop") == [{"reason": number.name}]


def test_usr1_opens_the_log_again(serve):
    done = serve(serving(1), send(signal.SIGUSR1), lambda supervisor: supervisor.log.reopened == 1, stop)
    assert done.code == 0


def test_a_reload_brings_a_generation_and_the_old_one_goes(serve):
    answers = []
    done = serve(serving(1), reload(answers), serving(2), send(signal.SIGHUP), serving(3), stop)
    assert answers == [{"ok": True, "generation": 2}]
    assert [event["reason"] for event in done.log.named("reload")] == ["generation 2 serves", "generation 3 serves"]
    assert done.said.count("reloading") == 2


def test_a_wrong_reload_changes_nothing(serve):
    answers = []
    done = serve(serving(1), reload(answers, "wrong"), serving(1), stop)
    assert answers == [{"ok": False, "complaints": ["one", "two"]}]
    assert [event["complaint"] for event in done.log.named("config")] == ["one", "two"]
    assert done.log.named("reload")[0]["result"] == "refused"


@pytest.mark.parametrize("name", ["dies", "refuses"])
def test_new_workers_that_fail_are_sent_away(serve, name):
    answers = []
    done = serve(
        serving(1),
        reload(answers, name),
        lambda supervisor: answers,
        serving(1),
        lambda supervisor: len(supervisor.children.by_pid) == 2,
        stop,
    )
    assert done.code == 0
    assert "the new workers do not get ready" in answers[0]["complaints"][0]
    assert done.log.named("reload")[0]["result"] == "refused"


def test_a_storm_of_reloads(serve):
    answers = []

    def storm(supervisor):
        for _ in range(5):
            supervisor.reload(answers.append)
        return True

    serve(serving(1), storm, serving(3), stop)
    # The first began at once; all the others are one more, and everybody hears of the newest.
    assert answers == [{"ok": True, "generation": 3}] * 5


def test_a_worker_that_dies_is_replaced(serve):
    killed = []

    def kill(supervisor):
        killed.extend(child.pid for child in supervisor.current.children.values())
        supervisor.children.kill()
        return True

    def replaced(supervisor):
        pids = {child.pid for child in supervisor.current.children.values()}
        return supervisor.current.is_ready() and not pids & set(killed)

    done = serve(serving(1), kill, replaced, stop)
    states = [event["state"] for event in done.log.named("worker")]
    assert states.count("died") == 2 and states.count("backoff") == 2


def test_workers_that_never_get_ready(serve):
    done = serve(name="dies")
    assert done.code == Exit.SOFTWARE and done.ready == []
    assert "do not get ready" in done.reason
    assert [event["state"] for event in done.log.named("worker")].count("died") >= STARTS


def test_a_worker_that_refuses_its_configuration(serve):
    done = serve(name="refuses")
    assert done.code == Exit.CONFIG and done.reason == "this cannot be"


def test_a_worker_that_refuses_later_stops_the_server(serve):
    def change(supervisor):
        # As if what the workers need had gone away while they serve.
        supervisor.current.config = Config(hostname="refuses", data_dir="/nowhere", limits=LimitsConfig(workers=2))
        supervisor.children.kill()
        return True

    done = serve(serving(1), change)
    assert done.code == Exit.CONFIG and done.reason == "this cannot be"


def test_changed_certificates_are_a_generation(serve):
    def change(supervisor):
        supervisor.current.files = (("cert.pem", 1, 1),)
        return True

    done = serve(serving(1), change, serving(2), stop)
    assert done.opening.renewed == 1


def test_bad_certificates_are_kept_out_and_looked_at_once(serve):
    def change(supervisor):
        supervisor.opening.next_name = "wrong"
        supervisor.current.files = (("cert.pem", 1, 1),)
        return True

    done = serve(serving(1), change, lambda supervisor: supervisor.opening.kept, serving(1), stop)
    assert done.opening.kept == ["no certificate"]


def test_a_reload_while_the_server_stops(serve):
    answers = []

    def both(supervisor):
        supervisor.stop("test")
        supervisor.reload(answers.append)
        return True

    serve(serving(1), both)
    assert answers == [{"ok": False, "complaints": ["the server is stopping"]}]
