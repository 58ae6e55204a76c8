import dataclasses
import os
import socket

from mailsrv.config.schema import CertificateConfig, Config, LimitsConfig, TlsConfig
from mailsrv.serve.generation import Child, Generation, State, pairs_of
from mailsrv.serve.worker import Channel
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
