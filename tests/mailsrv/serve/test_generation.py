import dataclasses
import os
import socket

from mailsrv.config.schema import CertificateConfig, Config, LimitsConfig, ListenerConfig, TlsConfig
from mailsrv.serve.generation import IMAPD, RUNNER, Child, Generation, State, kind_of, listens, pairs_of
from mailsrv.serve.worker import BoundListener, Channel
from mailsrv.system.tls import Pair, fingerprint
from tests.fakes.log import FakeLog


def make(**keys):
    return Config(hostname="mx.example.test", data_dir="/nowhere", **keys)


def test_pairs_have_the_default_first():
    more = CertificateConfig(cert_file="/c", key_file="/d")
    config = make(tls=TlsConfig(cert_file="/a", key_file="/b", certificates=[more]))
    assert pairs_of(config) == [Pair("/a", "/b"), Pair("/c", "/d")]
    assert pairs_of(make()) == []


def test_it_is_ready_when_every_worker_is():
    generation = Generation(1, make(limits=LimitsConfig(workers=2)), None, FakeLog(), [])
    ends = socket.socketpair()
    children = [Child(number, number, number, Channel(end), 0.0) for number, end in enumerate(ends, 1)]
    for child in children:
        generation.children[child.number] = child
        assert not generation.is_ready()
        child.state = State.READY
    assert generation.is_ready()
    del generation.children[1]
    assert not generation.is_ready()
    for end in ends:
        end.close()


def test_workers_are_as_many_as_cores_unless_told():
    assert Generation(1, make(), None, FakeLog(), []).workers == 2 * len(os.sched_getaffinity(0))
    assert Generation(1, make(limits=LimitsConfig(workers=7)), None, FakeLog(), []).workers == 7


def test_imapd_only_where_there_is_something_to_listen_to():
    imap = BoundListener(None, ListenerConfig("imap"))
    limits = LimitsConfig(workers=2, imapd_workers=3)
    generation = Generation(1, make(limits=limits), None, FakeLog(), [imap], has_runner=True)
    assert generation.numbers == [1, 2, 101, 102, 103, 0]
    assert [kind_of(number) for number in generation.numbers] == ["smtpd"] * 2 + ["imapd"] * 3 + ["runner"]
    without = Generation(1, make(limits=limits), None, FakeLog(), [BoundListener(None, ListenerConfig("smtp"))])
    assert without.numbers == [1, 2]
    default = Generation(1, make(), None, FakeLog(), [imap])
    assert default.imapd_workers == len(os.sched_getaffinity(0))


def test_each_process_accepts_from_its_own_listeners():
    kinds = ("smtp", "submission", "submissions", "lmtp", "imap", "imaps")
    listeners = [ListenerConfig(kind) for kind in kinds]
    assert [listener.kind for listener in listeners if listens(IMAPD + 1, listener)] == ["imap", "imaps"]
    assert [listener.kind for listener in listeners if listens(1, listener)] == list(kinds[:4])
    assert not any(listens(RUNNER, listener) for listener in listeners)


def test_changed_certificate_files_are_seen(tmp_path):
    cert, key = tmp_path / "cert", tmp_path / "key"
    cert.write_text("1")
    config = make(tls=TlsConfig(cert_file=str(cert), key_file=str(key)))
    generation = Generation(1, config, None, FakeLog(), [], fingerprint(pairs_of(config)))
    assert not generation.has_new_files()
    key.write_text("1")
    assert generation.has_new_files()
    renewed = dataclasses.replace(generation, files=fingerprint(pairs_of(config)))
    os.utime(cert, ns=(1, 1))
    assert renewed.has_new_files()
