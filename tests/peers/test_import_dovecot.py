"""Dovecot as a source of `mailsrv import`: by IMAP with other separators and a prefix, and its Maildir afterwards."""

import contextlib
import getpass
import imaplib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from mailsrv.imap import utf7
from tests.mailsrv.cli.account_house import House
from tests.ports import free_port

PASSWORD = "dovecot-secret"
CONFIG = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:{root}/mail/%u
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail/%u allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
  mailbox Gesendetes {{
    special_use = \\Sent
    auto = subscribe
  }}
}}
"""
WHEN = 1_577_865_600  # 1 January 2020, 08:00 UTC
LARGE = "Subject: large\r\n\r\n" + "0123456789" * 7 * 65_536 + "\r\n"
# Mailbox by its levels here: texts with flags.
MAIL = {
    "INBOX": {f"Subject: {n}\r\n\r\n{n}\r\n": {"\\Seen"} if n % 2 else set() for n in range(110)}
    | {LARGE: {"\\Draft"}},
    "Gesendetes": {"Subject: sent\r\n\r\n": {"\\Seen", "\\Answered"}},
    "Größe/日本": {"Subject: a\r\n\r\n": {"\\Flagged", "$Forwarded"}, "Subject: b\r\n\r\n": {"Work"}},
    'A & "B"\\': {"Subject: c\r\n\r\n": set()},
}


class Dovecot:
    """One Dovecot in a directory of its own."""

    def __init__(self, program, root, separator, prefix):
        self.root = root
        self.separator = separator
        self.prefix = prefix
        self.port = free_port()
        user = pwd.getpwnam("mail")
        for name in ("run", "state", "mail"):
            (root / name).mkdir()
        shutil.chown(root / "mail", user.pw_uid, user.pw_gid)
        config = root / "dovecot.conf"
        config.write_text(
            CONFIG.format(
                root=root, uid=user.pw_uid, gid=user.pw_gid, port=self.port, password=PASSWORD, separator=separator,
                prefix=prefix,
            )
        )  # fmt: skip
        self.process = subprocess.Popen([program, "-F", "-c", config], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._greets():
            assert self.process.poll() is None and time.monotonic() < deadline, "Dovecot does not greet"
            time.sleep(0.02)

    def _greets(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            return probe.recv(512).startswith(b"* OK")
        return False

    def log_in(self):
        client = imaplib.IMAP4("127.0.0.1", self.port)
        client.login("alice", PASSWORD)
        return client

    def name(self, levels):
        """As it is on the wire, quoted."""
        parts = self.separator.join(utf7.encode(level).decode() for level in levels.split("/"))
        parts = parts if levels == "INBOX" else self.prefix + parts
        return '"' + parts.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def fill(self):
        client = self.log_in()
        for levels, texts in MAIL.items():
            client.create(self.name(levels))
            client.subscribe(self.name(levels))
            for text, flags in texts.items():
                words = f"({' '.join(sorted(flags))})"
                status, said = client.append(self.name(levels), words, '"01-Jan-2020 10:00:00 +0200"', text.encode())
                assert status == "OK", said
        client.logout()

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(params=[(".", ""), ("/", "INBOX/"), (".", "INBOX.")], ids=["dots", "prefix", "dots and prefix"])
def dovecot(peer, request):
    program = peer("dovecot")
    if getpass.getuser() != "root":
        pytest.skip("Dovecot is started as root")
    root = Path(tempfile.mkdtemp(prefix="mailsrv-dovecot-"))
    root.chmod(0o755)
    server = Dovecot(program, root, *request.param)
    server.fill()
    yield server
    server.stop()
    shutil.rmtree(root)


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr("mailsrv.cli.account_place.become_service_user", lambda config: None)
    monkeypatch.setenv("MAILSRV_IMPORT_PASSWORD", PASSWORD)
    return House(tmp_path)


def expected(into=""):
    """What House.mail gives then; parents are mailboxes here."""
    found = {"Größe" if not into else f"{into}/Größe": {}}
    for levels, texts in MAIL.items():
        name = levels if not into else into if levels == "INBOX" else f"{into}/{levels}"
        found[name] = {text: (flags, WHEN) for text, flags in texts.items()}
    return found


def test_by_imap_twice_and_its_maildir(dovecot, house, capsys):
    words = ["import", "imap", "alice", "--host", "127.0.0.1", "--port", dovecot.port, "--user", "alice"]
    words += ["--security", "plain"]
    assert house.run(*words) == 0
    assert house.mail() == expected()
    reader = house.reader()
    assert reader.find("Gesendetes").special_use == "\\Sent"
    assert {info.name for info in reader.mailboxes() if info.subscribed} == set(MAIL)

    client = dovecot.log_in()
    client.select("INBOX")
    client.store("1:3", "+FLAGS", "(\\Flagged new)")
    client.store("4", "+FLAGS", "\\Deleted")
    client.expunge()
    client.append("INBOX", None, '"01-Jan-2020 10:00:00 +0200"', b"Subject: later\r\n\r\n")
    client.logout()
    capsys.readouterr()
    assert house.run(*words) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("INBOX "))
    assert row.split()[1:8] == ["111", "1", "110", "3", "0", "1", "0"]
    after = house.mail()["INBOX"]
    assert len(after) == 112 and sum("new" in flags for flags, _ in after.values()) == 3
    assert reader.check() == []

    dovecot.process.terminate()
    dovecot.process.wait(30)
    assert house.run("import", "maildir", "alice", dovecot.root / "mail/alice", "--into", "M") == 0
    mail = house.mail()
    assert len(mail["M"]) == 111 and {text: mail["M"][text] for text in mail["M"]}.items() <= after.items()
    for name, texts in expected("M").items():
        assert name == "M" or mail[name] == texts
