"""The server from start to end: ready, privileges, titles, one server per data_dir, stop, drain, daemon, service
manager.
"""

import base64
import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys

import pytest

from mailsrv.directory.passwords import hash_password
from mailsrv.serve.privileges import FIRST_NUMBER
from tests.others import reason_not_to
from tests.ports import free_port
from tests.whole.running import DEADLINE, TOP, is_alive, is_refused, send, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux")


def read_status(pid, name):
    """A line of /proc/PID/status as words."""
    with open(f"/proc/{pid}/status") as file:
        return next(line.split()[1:] for line in file if line.startswith(f"{name}:"))


def test_a_message_goes_from_the_port_into_the_maildir(server):
    assert server.deliver("first")[0] == 250
    assert [text for text in server.messages() if "Subject: first" in text]
    status = server.ask("status")
    assert status["state"] == "serving"
    assert status["totals"]["connections"] == 1
    assert status["totals"]["messages"] == 1
    assert status["listeners"] == [f"smtp 127.0.0.1:{server.port}"]


def test_processes_have_titles(server):
    pids = [server.process.pid, *server.workers()]
    shown = subprocess.run(
        ["ps", "-o", "comm=,args=", "-p", ",".join(map(str, pids))], capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"^mailsrv:supervi +mailsrv: supervisor$", shown, re.MULTILINE)
    assert re.search(r"^mailsrv:smtpd 1 +mailsrv: smtpd 1 \(gen 1\)$", shown, re.MULTILINE)
    assert re.search(r"^mailsrv:smtpd 2 +mailsrv: smtpd 2 \(gen 1\)$", shown, re.MULTILINE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
def test_workers_have_no_privileges(server):
    owner = server.data.stat().st_uid
    assert owner not in (0, os.geteuid())
    for pid in server.workers():
        assert read_status(pid, "Uid") == [str(owner)] * 4
        assert read_status(pid, "Gid") == [str(server.data.stat().st_gid)] * 4
        assert read_status(pid, "Groups") == []
        assert int(read_status(pid, "CapEff")[0], 16) == 0
        assert int(read_status(pid, "CapPrm")[0], 16) == 0
        assert read_status(pid, "NoNewPrivs") == ["1"]
    if owner >= FIRST_NUMBER:
        assert "adduser --system" in server.events("config", level="notice")[0]["complaint"]
    server.deliver()
    for path in (server.data / "accounts" / "alice" / "new").iterdir():
        assert path.stat().st_uid == owner
        assert path.stat().st_mode & 0o777 == 0o400


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_started_as_somebody_else_it_serves_as_that(make_server):
    if reason := reason_not_to(12345, str(TOP / "bin" / "mailsrv")):
        pytest.skip(reason)
    server = make_server(more="[limits]\nworkers = 1\n")
    server.root.chmod(0o777)
    os.chown(server.config, 12345, 12345)
    plan = {"options": {"config_path": str(server.config)}, "build": ""}
    with open(server.log_file, "ab") as log:
        server.process = subprocess.Popen(
            [sys.executable, "-m", "tests.whole.launch", json.dumps(plan)],
            cwd=TOP, env={**os.environ, "PYTHONPATH": str(TOP)}, stderr=log, start_new_session=True,
            user=12345, group=12345, extra_groups=[],
        )  # fmt: skip
    server.wait("ready")
    assert server.deliver()[0] == 250
    assert server.data.stat().st_uid == 12345


def test_a_second_server_is_told_who_the_first_is(server):
    second = server.run("serve", check=False)
    assert second.returncode == 69
    assert f"already served by process {server.process.pid}" in second.stderr
    assert server.deliver()[0] == 250


def test_a_wrong_configuration_does_not_start(make_server):
    server = make_server(top="hostnam = 1\nrecipient_delimitr = 2\n")
    done = server.run("serve", check=False)
    assert done.returncode == 78
    assert "hostnam:" in done.stderr and "recipient_delimitr:" in done.stderr


def test_a_port_in_use_is_named(make_server):
    server = make_server()
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.port))
        other.listen()
        done = server.run("serve", check=False)
    assert done.returncode == 69
    assert f"cannot listen on smtp 127.0.0.1:{server.port}: Address already in use: another program" in done.stderr
    assert not (server.data / "run" / "pid").exists()


def test_pid_files_and_stop(make_server):
    server = make_server(more="[limits]\nworkers = 1\n")
    extra = server.root / "mailsrv.pid"
    server.start(options={"pid_file": str(extra)})
    assert extra.read_text() == (server.data / "run" / "pid").read_text() == f"{server.process.pid}\n"
    server.run("stop")
    assert server.wait_end() == 0
    assert not extra.exists()
    assert not (server.data / "run" / "pid").exists()
    assert not (server.data / "run" / "control").exists()
    assert server.events("stop")
    done = server.run("status", check=False)
    assert done.returncode == 69 and "no server runs" in done.stderr


def test_term_lets_a_transaction_finish(server):
    idle, busy = server.connect(), server.connect()
    idle.ehlo()
    busy.ehlo()
    busy.mail("bob@example.org")
    busy.rcpt("alice@example.test")
    assert busy.docmd("DATA")[0] == 354
    server.process.terminate()
    server.wait("worker", state="draining", count=2)
    # New connections are refused while the old ones are served to their end.
    wait_until(lambda: is_refused(server.port), "the port is closed")
    busy.send(b"Subject: late\r\n\r\nbut whole\r\n.\r\n")
    assert busy.getreply()[0] == 250
    code, text = idle.getreply()
    assert code == 421 and text.startswith(b"4.3.2")
    busy.close()
    idle.close()
    assert server.wait_end() == 0
    assert any("Subject: late" in text for text in server.messages())


def test_stop_now_does_not_wait_for_anybody(server):
    client = server.connect()
    client.ehlo()
    client.mail("bob@example.org")
    client.rcpt("alice@example.test")
    client.docmd("DATA")
    server.run("stop", "--now")
    assert server.wait_end() == 0
    client.close()


def test_a_second_term_ends_at_once(server):
    client = server.connect()
    client.ehlo()
    client.mail("bob@example.org")
    client.rcpt("alice@example.test")
    client.docmd("DATA")
    workers = server.workers()

    def look():
        server.process.terminate()
        return server.process.poll() is not None

    wait_until(look, "the end")
    assert server.process.returncode == 0
    assert not any(map(is_alive, workers))
    client.close()


def test_who_and_kick(server):
    with server.connect() as client:
        client.ehlo()
        sessions = server.ask("who")["sessions"]
        assert len(sessions) == 1, sessions
        [session] = sessions
        assert session["kind"] == "smtp" and session["client"] == "127.0.0.1" and session["account"] == ""
        assert session["id"] in server.run("who").stdout
        assert json.loads(server.run("who", "--json").stdout)[0]["id"] == session["id"]
        assert "there is no session" in server.run("kick", "nobody", check=False).stderr
        server.run("kick", session["id"])
        assert client.getreply()[0] == 421
        client.close()
    wait_until(lambda: not server.ask("who")["sessions"], "the session is gone")
    assert server.ask("status")["connections"] == 0


def test_bans(server):
    server.run("ban", "add", "127.0.0.1", "--seconds", "600", "--reason", "test of bans")
    with pytest.raises(smtplib.SMTPConnectError):
        server.connect()
    assert server.events("ban", address="127.0.0.1", reason="test of bans")
    assert "127.0.0.1" in server.run("ban", "list").stdout
    [ban] = json.loads(server.run("ban", "list", "--json").stdout)
    assert ban["network"] == "127.0.0.1" and 590 < ban["seconds"] <= 600 and ban["reason"] == "test of bans"
    assert server.ask("status")["bans"] == 1
    server.run("ban", "remove", "127.0.0.1")
    assert server.deliver()[0] == 250
    assert server.run("ban", "remove", "127.0.0.1", check=False).returncode == 69
    assert server.events("unban", address="127.0.0.1")
    assert server.run("ban", "add", "localhost", check=False).returncode == 2


def test_too_many_connections_of_an_address_over_all_workers(make_server):
    server = make_server(more="[limits]\nworkers = 2\nconnections_per_address = 6\n")
    server.start()
    clients = [server.connect() for _ in range(6)]
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        server.connect()
    assert refused.value.smtp_code == 421
    clients.pop().quit()
    wait_until(lambda: server.ask("status")["connections"] < 6, "a connection less")
    server.connect().quit()
    for client in clients:
        client.close()


def test_ipv6_and_a_unix_socket(make_server):
    server = make_server()
    port, path = free_port(), server.root / "lmtp"
    server.write(
        more=f'[[listeners]]\nkind = "smtp"\naddr = "::1"\nport = {port}\n'
        f'[[listeners]]\nkind = "lmtp"\naddr = "{path}"\n[limits]\nworkers = 1\n'
    )
    # A socket of a server that is gone is in the way of nobody.
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    server.start()
    with smtplib.SMTP("::1", port, local_hostname="c.example.test", timeout=DEADLINE) as client:
        assert send(client)[0] == 250
    with smtplib.LMTP(str(path), local_hostname="c.example.test", timeout=DEADLINE) as client:
        assert client.sendmail("bob@example.org", ["alice@example.test"], b"Subject: l\r\n\r\nhi\r\n") == {}
    assert server.ask("status")["listeners"][1:] == [f"smtp [::1]:{port}", f"lmtp {path}"]
    server.run("stop")
    server.wait_end()
    assert not path.exists()


def test_daemon(make_server):
    server = make_server()
    server.write(more=f'[limits]\nworkers = 1\n[log]\ndestination = "{server.log_file}"\n')
    done = server.run("serve", "--daemon", "--pid-file", str(server.root / "pid"))
    pid = int((server.root / "pid").read_text())
    try:
        assert done.stderr == ""
        assert server.deliver()[0] == 250  # ready means ready
        with open(f"/proc/{pid}/stat", "rb") as file:
            session, terminal = file.read().rpartition(b")")[2].split()[3:5]
        assert int(session) != os.getsid(0) and terminal == b"0"
        second = server.run("serve", "--daemon", check=False)
        assert second.returncode == 69 and f"already served by process {pid}" in second.stderr
    finally:
        server.run("stop")
    assert not is_alive(pid)


def test_the_service_manager_is_told(make_server):
    server = make_server(more="[limits]\nworkers = 1\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(server.root / "notify"))
        manager.settimeout(DEADLINE)
        server.start(environ={"NOTIFY_SOCKET": str(server.root / "notify")})

        def receive():
            return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())

        said = receive()
        assert said["READY"] == "1" and said["MAINPID"] == str(server.process.pid)
        assert said["STATUS"] == "serving, generation 1"
        server.process.send_signal(signal.SIGHUP)
        said = receive()
        assert said["RELOADING"] == "1" and int(said["MONOTONIC_USEC"]) > 0
        assert receive()["STATUS"] == "serving, generation 2"
        server.process.terminate()
        assert receive()["STOPPING"] == "1"
    assert server.wait_end() == 0


def test_sockets_of_the_service_manager(make_server):
    server = make_server(more="[limits]\nworkers = 1\n")
    with socket.socket() as passed, socket.socket() as strange:
        passed.bind(("127.0.0.1", server.port))
        strange.bind(("127.0.0.1", 0))
        for made in (passed, strange):
            made.listen()
        keep = {3: os.dup(passed.fileno()), 4: os.dup(strange.fileno())}
        # Popen closes or keeps descriptors as they are numbered here; a shell moves them to 3 and 4.
        plan = {"options": {"config_path": str(server.config)}, "build": "", "activate": True}
        script = f"exec \"$@\" 3<&{keep[3]} 4<&{keep[4]}"
        with open(server.log_file, "ab") as log:
            server.process = subprocess.Popen(
                ["bash", "-c", script, "bash", sys.executable, "-m", "tests.whole.launch", json.dumps(plan)],
                cwd=TOP, env={**os.environ, "PYTHONPATH": str(TOP), "LISTEN_FDS": "2"}, stderr=log,
                start_new_session=True, pass_fds=tuple(keep.values()),
            )  # fmt: skip
        for descriptor in keep.values():
            os.close(descriptor)
        name = strange.getsockname()[1]
        server.wait("ready")
        assert f"port {name}, and no listener has this address" in server.events("config")[-1]["complaint"]
    assert server.deliver()[0] == 250


def log_in(port, password):
    """One try to log in; gives the code of the reply, or of the refused greeting."""
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example.test", timeout=DEADLINE) as client:
            client.ehlo()
            return client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0alice\0{password}".encode()).decode())[0]
    except smtplib.SMTPConnectError as error:
        return error.smtp_code


def test_failed_logins_ban_and_the_ban_can_be_taken_back(make_server):
    server = make_server()
    port = free_port()
    server.write(
        accounts=f'password_hash = "{hash_password("right")}"\n',
        more=f'[[listeners]]\nkind = "submission"\nport = {port}\nwithout_tls = true\n'
        "[bans]\nfailures = 3\nban_seconds = 600\n[limits]\nworkers = 2\n",
    )
    server.start()
    assert log_in(port, "right") == 235
    assert [log_in(port, "wrong") for _ in range(3)] == [535, 535, 421]
    server.wait("ban", address="127.0.0.1")
    assert log_in(port, "right") in (421, 554)
    assert server.ask("status")["totals"]["logins_failed"] == 3
    [ban] = json.loads(server.run("ban", "list", "--json").stdout)
    assert ban["network"] == "127.0.0.1" and 500 < ban["seconds"] <= 600
    server.run("ban", "remove", "127.0.0.1")
    # The failures before the ban are forgotten by every worker, or this one would ban again.
    wait_until(lambda: log_in(port, "right") == 235, "the address is welcome")
    assert log_in(port, "wrong") == 535
    assert log_in(port, "right") == 235
