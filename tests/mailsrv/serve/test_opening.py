import gc
import os
import shutil
import signal
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from mailsrv.config.load import load
from mailsrv.errors import ConfigError, Refused
from mailsrv.serve.opening import Opening, Options
from mailsrv.system.tls import make_self_signed
from tests.ports import free_port
from tests.whole.running import BASE


@pytest.fixture
def place(monkeypatch):
    """A configuration that can be written, opened and opened again; umask and frozen objects as they were afterwards.
    """
    monkeypatch.setattr(gc, "freeze", lambda: None)
    umask = os.umask(0o077)
    # Not pytest's own directory: as root, somebody else must be able to reach it.
    root = Path(tempfile.mkdtemp(prefix="mailsrv-opening-"))
    root.chmod(0o755)
    made = Place(root)
    yield made
    for opening in made.opened:
        for listener in opening.first.listeners:
            listener.socket.close()
        opening.close()
    os.umask(umask)
    shutil.rmtree(root)


class Place:
    def __init__(self, root):
        self.root = root
        self.data = root / "data"
        self.file = root / "mailsrv.toml"
        self.log_file = root / "log"
        self.port = free_port()
        self.opened = []

    def write(self, top="", more="", log="stderr"):
        more += f'\n[log]\ndestination = "{log if log == "stderr" else self.log_file}"\n'
        self.file.write_text(BASE.format(data=self.data, port=self.port, top=top, accounts="", more=more))
        self.file.chmod(0o600)

    def open(self, environ=None, **options):
        config = load(str(self.file), {})
        opening = Opening(Options(str(self.file), **options), config, lambda context: None, environ or {})
        self.opened.append(opening)
        return opening


def test_everything_is_there_at_the_start(place):
    place.write(log="file")
    opening = place.open(pid_file=str(place.root / "pid"))
    assert opening.first.number == 1
    assert [listener.config.port for listener in opening.first.listeners] == [place.port]
    assert (place.root / "pid").read_text() == f"{os.getpid()}\n"
    assert (place.data / "FORMAT").exists()
    with socket.create_connection(("127.0.0.1", place.port)):
        pass
    if opening.services.identity.drops:
        assert place.log_file.stat().st_uid == opening.services.identity.uid
    assert stat.S_IMODE(place.data.stat().st_mode) == 0o700
    opening.close()
    place.opened.clear()
    opening.first.listeners[0].socket.close()
    assert not (place.root / "pid").exists()


def test_too_few_descriptors_are_said(place, monkeypatch):
    monkeypatch.setattr("mailsrv.serve.opening._raise_descriptors", lambda: 1024)
    place.write(log="file")
    place.open()
    assert "1024 open files are too few for limits.connections = 2000" in place.log_file.read_text()


def test_a_start_that_fails_leaves_the_data_dir_free(place):
    place.write()
    with socket.socket() as other:
        other.bind(("127.0.0.1", place.port))
        other.listen()
        with pytest.raises(Refused, match="cannot listen"):
            place.open()
    assert not (place.data / "run" / "pid").exists()
    place.open()


def test_the_next_generation_keeps_sockets_and_log(place):
    place.write(log="file")
    opening = place.open()
    more = free_port()
    place.write(log="file", more=f'[[listeners]]\nkind = "smtp"\nport = {more}\n')
    os.rename(place.log_file, f"{place.log_file}.1")
    following = opening.open_next(opening.first)
    assert following.number == 2
    assert following.listeners[0].socket is opening.first.listeners[0].socket
    assert following.log is opening.first.log
    assert place.log_file.exists()  # opened again
    following.listeners[1].socket.close()
    place.write(log="stderr")
    assert opening.open_next(opening.first).log is not opening.first.log


def test_what_cannot_change_while_the_server_runs(place):
    place.write()
    opening = place.open()
    text = place.file.read_text()
    other = text.replace(str(place.data), str(place.root / "other"))
    place.file.write_text(f'{other}[privileges]\nuser = "{opening.services.identity.uid + 1}"\n')
    with pytest.raises(ConfigError) as wrong:
        opening.check()
    said = "\n".join(wrong.value.complaints)
    assert "data_dir: cannot change while the server runs" in said
    assert "privileges" in said and len(wrong.value.complaints) == 2
    place.file.write_text(text)
    opening.check()


def test_certificates(place):
    first, second = place.root / "first", place.root / "second"
    paths = []
    for directory in (first, second):
        directory.mkdir()
        paths.append(make_self_signed(str(directory), [f"{directory.name}.example.test"]))
    cert, key = place.root / "cert.pem", place.root / "key.pem"

    def install(pair):
        for source, target in zip(pair, (cert, key), strict=True):
            with open(source, "rb") as file:
                target.write_bytes(file.read())
            target.chmod(0o600)

    install(paths[0])
    place.write(more=f'[tls]\ncert_file = "{cert}"\nkey_file = "{key}"\n', log="file")
    opening = place.open()
    assert opening.first.tls.certificates[0].names == ("first.example.test",)
    opening.report_certificates(opening.first)
    install(paths[1])
    os.utime(cert, ns=(1, 1))
    assert opening.first.has_new_files()
    renewed = opening.renew(opening.first)
    assert renewed.number == 2 and renewed.config is opening.first.config
    assert renewed.tls.certificates[0].names == ("second.example.test",)
    assert not renewed.has_new_files()
    cert.write_text("broken")
    with pytest.raises(ConfigError) as wrong:
        opening.renew(renewed)
    opening.report_kept(renewed, wrong.value)
    assert not renewed.has_new_files()  # said once
    text = place.log_file.read_text()
    assert "event=certificate" in text and "state=loaded" in text and "names=first.example.test" in text
    assert "level=error event=certificate" in text and "state=kept" in text


def test_sockets_of_the_service_manager_are_used(place, monkeypatch):
    place.write()
    passed = socket.socket()
    passed.bind(("127.0.0.1", place.port))
    passed.listen()
    descriptor = passed.detach()
    monkeypatch.setattr("mailsrv.system.notify.FIRST_DESCRIPTOR", descriptor)
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    opening = place.open(environ=environ)
    [listener] = opening.first.listeners
    assert listener.passed and listener.socket.fileno() == descriptor
    assert environ == {}
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL  # signals are the supervisor's
