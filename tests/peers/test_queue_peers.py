"""Mail that leaves: 2000 messages to Postfix's smtp-sink, a round trip through a real Postfix, and our signatures as
opendkim sees them after it."""

import re
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.dns import FakeDnsServer
from tests.peers.house import DOMAIN, MAILSRV, PASSWORDS, House
from tests.ports import free_ports
from tests.whole.running import wait_until

MESSAGES = 2000
CONNECTIONS = 10
SIZE = 4096
SECONDS = 120

EXTRA = """\
[[routes]]
next_hop = "smtp:127.0.0.1:{port}"
domains = ["*"]
[dns]
nameservers = ["{nameserver}"]
[bans]
allow = ["127.0.0.0/8"]
"""
QUEUES = "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace"
MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/mail.log
maillog_file_prefixes = {root}
myhostname = postfix.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_recipient_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
relayhost = [127.0.0.1]:{back}
virtual_alias_maps = inline:{{ there@postfix.example=alice@{domain} }}
smtp_tls_security_level = may
smtpd_tls_security_level = may
smtpd_tls_chain_files = {house}/key.pem, {house}/cert.pem
"""
# service, type, private, unprivileged, chroot, wake-up, limit, command
MASTER = """\
{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def running_house(port, zone="", top=""):
    """A mailsrv whose mail for elsewhere goes to a port here."""
    with FakeDnsServer(zone) as dns:
        house = House(extra=EXTRA.format(port=port, nameserver=dns.nameserver), top=top)
        house.start()
        try:
            yield house, dns
        finally:
            assert house.stop() == 0


@contextmanager
def running(command, port, **more):
    """A program that listens, in a directory of its own; its directory."""
    root = Path(tempfile.mkdtemp(prefix="mailsrv-peer-"))
    root.chmod(0o755)
    try:
        with (root / "output").open("wb") as output:
            process = subprocess.Popen(command(root), stdin=subprocess.DEVNULL, stdout=output, stderr=output, **more)
        try:
            wait_until(lambda: greets(process, port, root), f"{process.args[0]} greets")
            yield root
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    finally:
        shutil.rmtree(root)


def greets(process, port, root):
    assert process.poll() is None, (root / "output").read_text()
    with socket.create_connection(("127.0.0.1", port), 2) as probe:
        greeting = probe.recv(512)
        probe.sendall(b"QUIT\r\n")
        return greeting.startswith(b"220") and probe.recv(512).startswith(b"221")


def queued(house):
    return len(list((house.root / "data" / "spool" / "queue").iterdir()))


def test_smtp_sink(peer, run):
    """None is lost, none doubled."""
    (port,) = free_ports(1)

    def sink(root):
        (root / "mail").mkdir()
        return [peer("smtp-sink"), "-u", "root", "-d", f"{root}/mail/m.", f"127.0.0.1:{port}", "1024"]

    top = f'[aliases]\n"away@{DOMAIN}" = "sink@elsewhere.example"\n'
    with running(sink, port) as root, running_house(port, top=top) as (house, _):
        envelope = ["-f", "load@example.net", "-t", f"away@{DOMAIN}", "-M", "client.example.net"]
        amount = ["-m", MESSAGES, "-s", CONNECTIONS, "-l", SIZE]
        done = run([peer("smtp-source"), "-d", *amount, *envelope, f"inet:127.0.0.1:{house.ports['smtp']}"])
        assert done.returncode == 0, done.stdout.decode()
        wait_until(lambda: not queued(house), f"an empty queue ({queued(house)})", SECONDS)
        files = list((root / "mail").iterdir())
        texts = [path.read_bytes() for path in files]
        assert len(texts) == MESSAGES, house.said()
        assert len({re.search(rb"(?im)^Message-Id: <([^>]+)>", text)[1] for text in texts}) == MESSAGES
        assert all(b"X-Rcpt-Args: <sink@elsewhere.example>" in text for text in texts)
        lengths = {len(re.split(rb"\r?\n\r?\n", text, maxsplit=1)[1]) for text in texts}
        assert len(lengths) == 1 and lengths.pop() > SIZE // 2


@pytest.fixture
def postfix(peer):
    """postfix(house) -> a running Postfix that sends everything back to a house; its port is taken first."""
    peer("postfix")
    (port,) = free_ports(1)

    def command(house):
        def make(root):
            config = root / "etc"
            for directory in (config, root / "queue", root / "data"):
                directory.mkdir()
            for name in QUEUES.split():
                (root / "queue" / name).mkdir()
                shutil.chown(root / "queue" / name, "postfix")
            shutil.chown(root / "queue" / "pid", "root")
            shutil.chown(root / "data", "postfix")
            settings = {"root": root, "house": house.root, "back": house.ports["smtp"], "domain": DOMAIN}
            (config / "main.cf").write_text(MAIN.format(**settings))
            (config / "master.cf").write_text(MASTER.format(port=f"127.0.0.1:{port}"))
            where = subprocess.run([peer("postconf"), "-hd", "daemon_directory"], capture_output=True, check=True)
            return [f"{where.stdout.decode().strip()}/master", "-c", str(config), "-d"]

        return running(make, port, start_new_session=True)

    return port, command


def make_keys(house, dns):
    """Keys for both algorithms, active because DNS shows them; their records as opendkim reads them from a file."""
    command = [*MAILSRV, "dkim-keygen", "--config", str(house.config)]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    # Strings of one record, over several lines in parentheses, are one value.
    records = re.findall(r"^(\S+)\. IN TXT (\([^)]*\)|.*)$", printed, re.MULTILINE)
    values = {name: "".join(re.findall(r'"([^"]*)"', text)) for name, text in records}
    assert len(values) == 2, printed
    dns.zone = type(dns.zone)("".join(f"{name} TXT {value}\n" for name, value in values.items()))
    rotate = [*MAILSRV, "dkim", "--config", str(house.config), "rotate"]
    done = subprocess.run(rotate, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return "".join(f"{name} {value}\n" for name, value in values.items())


def verify(opendkim, run, directory, keys, octets):
    """What opendkim says of each signature: the results, in order."""
    (directory / "keys").write_text(keys)
    (directory / "conf").write_text(f"Mode v\nTestPublicKeys {directory}/keys\n")
    (directory / "message").write_bytes(octets)
    done = run([opendkim, "-x", directory / "conf", "-vvv", "-t", directory / "message"])
    return re.findall(r"dkim=(\w+)[^;]*header\.a=([a-z0-9-]+)", done.stdout.decode())


def test_there_and_back(postfix, peer, run, marker, tmp_path):
    """From an account through Postfix into another account: once, and with signatures that hold."""
    port, start_postfix = postfix
    opendkim = peer("opendkim")
    with running_house(port) as (house, dns), start_postfix(house) as root:
        keys = make_keys(house, dns)
        message = (
            f"From: Bob <bob@{DOMAIN}>\r\nTo: there@postfix.example\r\nSubject: {marker}\r\n"
            "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <there@example.org>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            "Grüße,   mit  Leerraum \r\n.\r\n..\r\n\r\n\r\n"
        )
        command = [peer("curl"), "--silent", "--show-error", "--cacert", house.certificate]
        login = ["--user", f"bob:{PASSWORDS['bob']}", f"smtps://127.0.0.1:{house.ports['submissions']}/client.example"]
        envelope = ["--mail-from", f"bob@{DOMAIN}", "--mail-rcpt", "there@postfix.example", "--upload-file", "-"]
        done = run([*command, *login, *envelope], message)
        assert done.returncode == 0, done.stdout.decode()
        try:
            wait_until(lambda: house.delivered("alice"), "the message comes back", 30)
        except AssertionError:
            pytest.fail(f"{house.said()}\n{(root / 'mail.log').read_text()}")
        octets = house.expect_one("alice", marker)
        assert octets.count(b"\r\nReceived: ") == 3, octets
        assert b"by postfix.example (Postfix)" in octets
        said = verify(opendkim, run, tmp_path, keys, octets)
        assert sorted(said) == [("pass", "ed25519-sha256"), ("pass", "rsa-sha256")], octets
        changed = octets.replace(b"mit  Leerraum", b"ohne Leerraum")
        assert {word for word, _ in verify(opendkim, run, tmp_path, keys, changed)} == {"fail"}
        wait_until(lambda: not queued(house), "an empty queue")
