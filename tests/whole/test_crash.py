"""Processes that die: workers are replaced, orphans leave, wrong workers stop the server."""

import os
import signal
import threading
import time

import pytest

from tests.whole.running import is_alive, send, wait_until

LIMITS = "[limits]\nworkers = 2\n"


def test_a_worker_that_is_killed_is_replaced(server):
    first = server.workers()
    with server.connect() as client:
        client.ehlo()
        os.kill(first[0], signal.SIGKILL)
        os.kill(first[1], signal.SIGKILL)
        server.wait("worker", state="died", reason="by SIGKILL", count=2)
        server.wait("worker", state="ready", count=4)
    second = server.workers()
    assert len(second) == 2 and not set(first) & set(second)
    assert server.deliver()[0] == 250
    # What the dead held is counted no more.
    wait_until(lambda: not server.ask("who")["sessions"], "no session is left")
    assert server.ask("status")["connections"] == 0
    assert server.ask("status")["totals"]["connections"] == 2


def test_a_worker_that_is_terminated_drains_and_is_replaced(server):
    os.kill(server.workers()[0], signal.SIGTERM)
    server.wait("worker", state="died", reason="with exit status 0")
    server.wait("worker", state="ready", count=3)
    assert server.deliver()[0] == 250


def test_when_the_supervisor_is_killed_its_workers_leave(server):
    workers = server.workers()
    server.process.kill()
    server.wait_end()
    wait_until(lambda: not any(map(is_alive, workers)), "the workers end")
    server.start()
    assert server.deliver()[0] == 250


@pytest.mark.parametrize("whole_group", [False, True], ids=["supervisor", "group"])
def test_a_new_server_works_within_5_seconds(server, whole_group):
    workers = server.workers()
    busy = server.connect()
    busy.ehlo()
    busy.mail("bob@example.org")
    busy.rcpt("alice@example.test")
    busy.docmd("DATA")
    idle = server.connect()
    idle.ehlo()
    if whole_group:
        os.killpg(server.process.pid, signal.SIGKILL)
    else:
        server.process.kill()
    server.wait_end()
    began = time.monotonic()
    alive = []
    watch = threading.Thread(target=lambda: alive.append([pid for pid in workers if is_alive(pid)]))
    server.start()
    watch.start()
    assert server.deliver("after")[0] == 250
    assert time.monotonic() - began < server.again_seconds
    watch.join()
    # Two sets never share a spool: when the new one was ready, the old one was gone.
    assert alive == [[]]
    busy.close()
    idle.close()
    if not whole_group:
        assert "waiting for the workers of an earlier server" in server.text()


def test_orphans_finish_their_transactions_while_nobody_waits(server):
    workers = server.workers()
    busy = server.connect()
    busy.ehlo()
    busy.mail("bob@example.org")
    busy.rcpt("alice@example.test")
    busy.docmd("DATA")
    server.process.kill()
    server.wait_end()
    wait_until(lambda: sum(map(is_alive, workers)) == 1, "the idle worker leaves")
    busy.send(b"Subject: orphan\r\n\r\n.\r\n")
    assert busy.getreply()[0] == 250
    busy.close()
    wait_until(lambda: not any(map(is_alive, workers)), "the other follows")
    assert any("Subject: orphan" in text for text in server.messages())


def test_workers_that_refuse_their_configuration_stop_the_server(make_server):
    server = make_server(more=LIMITS)
    server.start(wait="", build="tests.whole.services:refuse")
    assert server.wait_end() == 78
    assert "this worker does not like it" in server.text()
    assert server.events("stop", reason="mailsrv.toml:1: tls: this worker does not like it")
    assert not (server.data / "run" / "pid").exists()


def test_workers_that_never_get_ready_stop_a_server_that_starts(make_server):
    server = make_server(more=LIMITS)
    server.start(wait="", build="tests.whole.services:die")
    assert server.wait_end() == 70
    assert "workers do not get ready" in server.text()
    assert server.events("worker", state="backoff")


def test_a_stop_while_workers_start(make_server):
    server = make_server(more=LIMITS)
    server.start(wait="start")
    server.process.terminate()
    assert server.wait_end() == 0
    server.start()
    with server.connect() as client:
        assert send(client)[0] == 250
