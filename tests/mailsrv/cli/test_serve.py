import argparse
import os
import signal
import sys

import pytest

from mailsrv.cli import serve
from mailsrv.config.schema import Config, LogConfig
from mailsrv.errors import ConfigError, Refused, StorageError, StorageFull
from mailsrv.serve.opening import Options
from mailsrv.system.process import Teller, Told


class FakeTeller(Teller):
    def __init__(self):
        self.said = []

    def give_up_stderr(self):
        self.said.append("stderr is given up")

    def tell(self, code, text):
        self.said.append((int(code), text))


class FakeOpening:
    error = None

    def __init__(self, options, config, build, environ):
        if self.error:
            raise self.error
        self.closed = False
        FakeOpening.last = self

    def close(self):
        self.closed = True


class FakeSupervisor:
    code, reason = 0, ""
    log = type("Silent", (), {"write": lambda *_: None})()

    def __init__(self, opening, on_ready):
        self.on_ready = on_ready

    def run(self):
        if self.code == 0:
            self.on_ready()
        return self.code


@pytest.fixture
def fakes(monkeypatch):
    for name in ("Opening", "Supervisor"):
        monkeypatch.setattr(serve, name, globals()[f"Fake{name}"])
    monkeypatch.setattr(serve, "set_title", lambda text: None)
    monkeypatch.setattr(FakeOpening, "error", None)
    monkeypatch.setattr(FakeSupervisor, "code", 0)
    monkeypatch.setattr(FakeSupervisor, "reason", "")
    return monkeypatch


def start(teller=None, destination="stderr"):
    config = Config(hostname="h", data_dir="/nowhere", log=LogConfig(destination=destination))
    return serve.serve(Options("m.toml"), config, lambda context: None, teller)


def test_a_server_that_ends_well(fakes, capsys):
    assert start() == 0
    assert FakeOpening.last.closed
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError(["m.toml:1: bad"]), 78), (Refused("no"), 69), (StorageError("x"), 1), (StorageFull("full"), 75)],
)
def test_what_keeps_it_from_starting_is_said(fakes, capsys, error, code):
    fakes.setattr(FakeOpening, "error", error)
    text = str(error) if code == 78 else f"mailsrv: {error}"  # complaints begin with their file and line
    assert start() == code
    assert capsys.readouterr().err == f"{text}\n"
    teller = FakeTeller()
    assert start(teller) == code
    assert teller.said == [(code, text)]
    assert capsys.readouterr().err == ""


def test_a_server_that_has_to_stop_says_why(fakes, capsys):
    fakes.setattr(FakeSupervisor, "code", 78)
    fakes.setattr(FakeSupervisor, "reason", "no certificate")
    assert start() == 78
    assert capsys.readouterr().err == "mailsrv: no certificate\n"
    assert FakeOpening.last.closed


def test_a_daemon_tells_when_it_is_ready_and_keeps_standard_error_for_the_log_alone(fakes):
    teller = FakeTeller()
    start(teller)
    assert teller.said == [(0, "")]
    teller = FakeTeller()
    start(teller, "/var/log/mailsrv")
    assert teller.said == ["stderr is given up", (0, "")]


def test_the_starter_of_a_daemon_reports(fakes, tmp_path, capsys):
    file = tmp_path / "m.toml"
    file.write_text(f'hostname = "mx.example.test"\ndata_dir = "{tmp_path}/d"\n')
    file.chmod(0o600)
    fakes.setattr(serve, "detach", lambda: Told(69, "mailsrv: no port"))
    arguments = argparse.Namespace(config=str(file), daemon=True, pid_file="")
    assert serve.run(arguments) == 69
    assert "mailsrv: no port\n" in capsys.readouterr().err
    fakes.setattr(serve, "detach", lambda: Told(0, ""))
    assert serve.run(arguments) == 0


def test_paths_are_absolute_and_a_wrong_configuration_does_not_detach(fakes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fakes.setattr(serve, "detach", lambda: pytest.fail("started"))
    with pytest.raises(ConfigError):
        serve.run(argparse.Namespace(config="no-such.toml", daemon=True, pid_file=""))
    file = tmp_path / "m.toml"
    file.write_text(f'hostname = "mx.example.test"\ndata_dir = "{tmp_path}/d"\n')
    file.chmod(0o600)
    seen = []
    fakes.setattr(serve, "serve", lambda options, config, build: seen.append(options) or 0)
    assert serve.run(argparse.Namespace(config="m.toml", daemon=False, pid_file="pid")) == 0
    assert seen == [Options(str(file), str(tmp_path / "pid"), has_runner=True)]


def test_importing_it_starts_nothing():
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert "mailsrv.serve.smtpd" in sys.modules and os.getpid()
