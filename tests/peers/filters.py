"""Real content filters on loopback, each from a directory of its own: Debian's rspamd, and opendkim as a milter.

rspamd gets one rule of ours, which tells what it was told in a field X-Seen, asks for the action that a field X-Want
names, and gives the score of a field X-Score; it has no network and no Redis. Its worker, its controller (with a
password) and its own milter run.

Diagnostics: a filter that does not listen within 30 s fails the test with the end of its log.
"""

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_ports

START_SECONDS = 30
RULE = """\
rspamd_config:register_symbol({
  name = 'SEEN', type = 'normal', score = 1.0,
  callback = function(task)
    local words = {}
    local function word(name, value) words[#words + 1] = name .. '=' .. tostring(value or '') end
    local from = (task:get_from('smtp') or {})[1] or {}
    word('ip', task:get_ip())
    word('name', task:get_hostname())
    word('helo', task:get_helo())
    word('user', task:get_user())
    word('id', task:get_queue_id())
    word('from', from.addr)
    for _, one in ipairs(task:get_recipients('smtp') or {}) do word('rcpt', one.addr) end
    word('size', task:get_size())
    word('received', #(task:get_received_headers() or {}))
    task:set_milter_reply({add_headers = {['X-Seen'] = {value = table.concat(words, '\\n '), order = 0}}})
    local want = task:get_header('X-Want')
    if want then task:set_pre_result(want, 'as wanted') end
    return true, tonumber(task:get_header('X-Score') or '0.25')
  end,
})
"""
RSPAMD = """\
options {{
    filters = "regexp";
    control_socket = "{root}/control mode=0600";
    cache_file = "{root}/symbols";
    hs_cache_dir = "{root}/";
    dynamic_conf = "{root}/dynamic";
    history_file = "{root}/history";
    pidfile = "{root}/pid";
    tempdir = "{root}";
    url_tld = "{root}/suffixes";
    dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }}
    local_addrs = [];
}}
logging {{ type = "console"; level = "info"; }}
actions {{
    reject = 15; add_header = 6; greylist = 4;
    quarantine {{ flags = ["no_threshold"]; }} discard {{ flags = ["no_threshold"]; }}
}}
lua = "{root}/rule.lua";
worker "normal" {{ bind_socket = "127.0.0.1:{worker}"; count = 1; mime = true; }}
worker "controller" {{
    bind_socket = "127.0.0.1:{controller}"; count = 1; password = "secret"; secure_ip = ["192.0.2.77"];
}}
worker "rspamd_proxy" {{
    bind_socket = "127.0.0.1:{milter}"; count = 1; milter = yes;
    upstream "local" {{ default = yes; self_scan = yes; }}
}}
"""


@dataclass(frozen=True)
class Filter:
    """Where a running filter listens, and its process."""

    ports: tuple[int, ...]
    process: subprocess.Popen

    def send_all(self, number) -> None:
        """Send a signal to it and to its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in (self.process.pid, *map(int, children.split())):
            os.kill(pid, number)

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)


def start_rspamd(program, root) -> Filter:
    """Ports: the normal worker, the controller, the milter."""
    ports = tuple(free_ports(3))
    (root / "rule.lua").write_text(RULE)
    # Its own list of public suffixes takes it many seconds to compile.
    (root / "suffixes").write_text("com\norg\nexample\n")
    config = root / "rspamd.conf"
    config.write_text(RSPAMD.format(root=root, worker=ports[0], controller=ports[1], milter=ports[2]))
    # -i: started as root, it stays root, and its files are ours to remove.
    return _start([program, "-f", "-i", "-c", str(config)], ports, root)


def start_opendkim(program, root, settings) -> Filter:
    """opendkim verifying; `settings` are further lines of its configuration."""
    (port,) = free_ports(1)
    config = root / "opendkim.conf"
    config.write_text(f"Mode v\nSyslog no\nSocket inet:{port}@127.0.0.1\nPidFile {root}/opendkim.pid\n{settings}")
    return _start([program, "-f", "-x", str(config)], (port,), root)


def _start(command, ports, root) -> Filter:
    log = root / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    started = Filter(ports, process)
    deadline = time.monotonic() + START_SECONDS
    while not all(map(_listens, ports)):
        if process.poll() is not None or time.monotonic() > deadline:
            started.stop()
            said = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            pytest.fail(f"{command[0]} does not listen (exit status {process.poll()})\n{said}")
        time.sleep(0.05)
    return started


def _listens(port) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True
