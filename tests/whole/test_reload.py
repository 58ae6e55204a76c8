"""HUP: a new generation on the same sockets without a refused connection or a lost transaction; wrong ones change
nothing.
"""

import os
import signal
import smtplib
import ssl
import threading

from mailsrv.system.tls import make_self_signed
from tests.ports import free_port
from tests.whole.running import DEADLINE, is_refused, send, wait_until

LIMITS = "[limits]\nworkers = 2\n"


class Callers:
    """Threads that open connections without a pause, one message in each, and note everything that goes wrong."""

    def __init__(self, server, count=3):
        self.server = server
        self.faults = []
        self.accepted = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, number):
        turn = 0
        while not self._stop.is_set():
            turn += 1
            subject = f"call-{number}-{turn}."
            try:
                with self.server.connect() as client:
                    code, text = send(client, subject)
                if code == 250:
                    self.accepted.append(subject)
                else:
                    self.faults.append((subject, code, text))
            except (OSError, smtplib.SMTPException, AssertionError) as error:
                self.faults.append((subject, repr(error)))

    def wait(self, more=5):
        goal = len(self.accepted) + more
        wait_until(lambda: len(self.accepted) >= goal or self.faults, f"{more} more messages")

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE)


def test_no_connection_is_refused_and_no_transaction_dropped(server):
    kept = server.connect()
    kept.ehlo()
    kept.mail("bob@example.org")
    kept.rcpt("alice@example.test")
    assert kept.docmd("DATA")[0] == 354
    callers = Callers(server)
    try:
        callers.wait()
        for generation in (2, 3):
            if generation == 3:
                # The transaction of the first generation is over, so the third may come.
                kept.send(b"Subject: kept\r\n\r\nwhole\r\n.\r\n")
                assert kept.getreply()[0] == 250
                kept.close()
            server.process.send_signal(signal.SIGHUP)
            server.wait("reload", result="ok", reason=f"generation {generation} serves")
            callers.wait()
    finally:
        callers.stop()
    assert callers.faults == []
    wait_until(lambda: server.ask("status")["state"] == "serving", "the old generations are gone")
    delivered = "\n".join(server.messages())
    assert all(delivered.count(f"Subject: {subject}") == 1 for subject in [*callers.accepted, "kept"])
    workers = server.ask("status")["workers"]
    assert [worker["generation"] for worker in workers] == [3, 3]


def test_idle_sessions_of_the_old_generation_get_421(make_server):
    server = make_server(more="[limits]\nworkers = 1\ndrain_seconds = 1\n")
    server.start()
    idle = server.connect()
    idle.ehlo()
    server.run("reload")
    code, text = idle.getreply()
    assert code == 421 and text.startswith(b"4.3.2")
    idle.close()


def test_a_wrong_configuration_is_refused_loudly(server):
    before = server.workers()
    server.write(top='recipient_delimitr = "x"', more=LIMITS)
    done = server.run("reload", "--data-dir", str(server.data), check=False)
    assert done.returncode == 78
    assert "recipient_delimitr:" in done.stderr
    assert server.events("reload", result="refused", level="error")
    assert "recipient_delimitr" in server.events("config", level="error")[0]["complaint"]
    assert server.workers() == before
    assert server.deliver()[0] == 250
    server.write(more=LIMITS)
    server.run("reload")
    assert server.deliver()[0] == 250
    assert not set(server.workers()) & set(before)


def test_what_cannot_change_is_said(server):
    server.write(more=LIMITS)
    text = server.config.read_text().replace(str(server.data), f"{server.data}2")
    server.config.write_text(text)
    done = server.run("reload", "--data-dir", str(server.data), check=False)
    assert done.returncode == 78 and "data_dir: cannot change while the server runs" in done.stderr
    assert not server.data.with_name("data2").exists()


def test_listeners_come_and_go(server):
    more = free_port()
    server.write(more=LIMITS + f'[[listeners]]\nkind = "smtp"\nport = {more}\n')
    server.run("reload")
    with server.connect(more) as client:
        assert send(client)[0] == 250
    assert server.deliver()[0] == 250
    server.write(more=LIMITS)
    server.run("reload")
    wait_until(lambda: is_refused(more), "the old generation has closed it as well")
    assert server.deliver()[0] == 250


def test_a_listener_that_cannot_be_bound_refuses_the_reload(server):
    server.write(more=LIMITS + '[[listeners]]\nkind = "smtp"\naddr = "192.0.2.1"\nport = 2525\n')
    done = server.run("reload", check=False)
    assert done.returncode == 78
    assert "cannot listen on smtp 192.0.2.1:2525" in done.stderr
    assert server.deliver()[0] == 250


def test_new_workers_that_cannot_work_refuse_the_reload(make_server):
    server = make_server(more=LIMITS)
    server.start(build="tests.whole.services:refuse_later")
    before = server.workers()
    text = server.config.read_text().replace('"mx.example.test"', '"bad.example.test"')
    server.config.write_text(text)
    done = server.run("reload", check=False)
    assert done.returncode == 78
    assert "the new workers do not get ready" in done.stderr and "hostname: is bad" in done.stderr
    assert server.workers() == before
    assert server.deliver()[0] == 250


def test_a_third_reload_waits_for_the_oldest_generation(make_server):
    server = make_server(more="[limits]\nworkers = 1\ndrain_seconds = 30\n")
    server.start()
    busy = server.connect()
    busy.ehlo()
    busy.mail("bob@example.org")
    busy.rcpt("alice@example.test")
    busy.docmd("DATA")
    server.run("reload")
    idle = server.connect()
    idle.ehlo()
    assert server.ask("status")["state"] == "draining"
    results = []
    third = threading.Thread(target=lambda: results.append(server.run("reload").returncode))
    third.start()
    server.wait("worker", state="draining", count=1)
    assert {worker["generation"] for worker in server.ask("status")["workers"]} == {1, 2}
    busy.send(b"Subject: oldest\r\n\r\n.\r\n")
    assert busy.getreply()[0] == 250
    busy.close()
    third.join(DEADLINE)
    assert results == [0]
    assert server.ask("status")["generation"] == 3
    idle.close()
    assert any("Subject: oldest" in text for text in server.messages())


def test_hup_and_usr1_open_the_log_again(make_server):
    server = make_server()
    server.write(more=LIMITS + f'[log]\ndestination = "{server.log_file}"\n')
    server.start()
    for turn, number in enumerate((signal.SIGUSR1, signal.SIGHUP)):
        os.rename(server.log_file, f"{server.log_file}.{turn}")
        server.process.send_signal(number)
        wait_until(server.log_file.exists, "a new log file")
        if number == signal.SIGHUP:
            server.wait("reload", result="ok")
        subject = f"turn-{turn}."

        def look(subject=subject):
            # A worker may take a moment longer than the supervisor.
            server.deliver(subject)
            return server.events("received")

        wait_until(look, "an event of a worker in the new file")


def make_certificate(server, name):
    directory = server.root / name
    directory.mkdir()
    cert, key = make_self_signed(str(directory), [f"{name}.example.test"])
    return cert, key


def asked_name(port):
    """The name in the certificate that the server shows."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with smtplib.SMTP_SSL("127.0.0.1", port, context=context, timeout=DEADLINE, local_hostname="c.test") as client:
        return client.sock.getpeercert(binary_form=True)


def test_changed_certificates_are_used_and_bad_ones_are_not(make_server):
    server = make_server()
    port = free_port()
    cert, key = make_certificate(server, "first")
    live_cert, live_key = server.root / "cert.pem", server.root / "key.pem"

    def install(cert, key):
        for source, target in ((cert, live_cert), (key, live_key)):
            with open(source, "rb") as file:
                octets = file.read()
            passing = target.with_suffix(".new")
            passing.write_bytes(octets)
            passing.chmod(0o600)
            os.rename(passing, target)

    install(cert, key)
    server.write(
        more=LIMITS + f'[[listeners]]\nkind = "submissions"\nport = {port}\n'
        f'[tls]\ncert_file = "{live_cert}"\nkey_file = "{live_key}"\n'
    )
    server.start(options={"certificate_seconds": 0.05})
    first = asked_name(port)
    assert server.events("certificate", state="loaded")
    install(*make_certificate(server, "second"))
    server.wait("certificate", state="loaded", names="second.example.test")
    second = asked_name(port)
    assert second != first
    wait_until(lambda: server.ask("status")["state"] == "serving", "the old generation is gone")
    live_cert.write_text("not a certificate\n")
    server.wait("certificate", state="kept", level="error")
    assert asked_name(port) == second
    done = server.run("reload", check=False)
    assert done.returncode == 78
    assert asked_name(port) == second
