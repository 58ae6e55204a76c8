"""The IMAP servers under test: mailsrv and Dovecot 2.3, each with one account on a Maildir in its own directory.

Both have plain logins on a loopback port, a self-signed certificate on another, and their own durability as shipped
(mailsrv syncs what it acknowledges; Dovecot's default, mail_fsync = optimized, does where it must). Password hashing is
off at Dovecot; mailsrv checks an argon2id hash and remembers for a minute that it was right.

Diagnostics: as server.Server.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

from server import Server, free_port

CHECKOUT = Path(__file__).resolve().parents[2]
ACCOUNT, PASSWORD = "u0", "bench-secret"
# argon2id of PASSWORD, with the parameters that mailsrv passwd uses.
MAILSRV = """\
hostname = "{hostname}"
data_dir = "{root}/data"
domains = ["bench.test"]

[tls]
cert_file = "{certificate}"
key_file = "{key}"

[[listeners]]
kind = "smtp"
port = {smtp}

[[listeners]]
kind = "imap"
port = {port}
without_tls = true

[[listeners]]
kind = "imaps"
port = {tls}

[limits]
imap_sessions = 4000
connections_per_address = 4000

[[accounts]]
name = "u0"
addresses = ["u0@bench.test", "postmaster@bench.test"]
password_hash = "{hash}"
"""
DOVECOT = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/mail.log
instance_name = bench
protocols = imap lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:{root}/mail/%u
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
mail_max_userip_connections = 4000
default_process_limit = 4000
default_client_limit = 8000
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
    port = {tls}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {smtp}
  }}
}}
"""


class ImapServer(Server):
    """What both have: `port` speaks IMAP, `tls_port` IMAP within TLS, `smtp_port` takes mail (LMTP at Dovecot)."""

    lmtp = False

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.tls_port, self.smtp_port = free_port(), free_port()

    def maildir(self) -> Path:
        """The account's Maildir; made, with its owner, before the server starts."""
        raise NotImplementedError

    def drop_index(self) -> None:
        """Remove whatever the server has remembered of the Maildir. It does not run."""
        raise NotImplementedError

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                return probe.recv(512).startswith(b"* OK")
        except OSError:
            return False

    def adopt(self, path: Path) -> None:
        """Give what the bench has put there to whoever serves it."""


class MailsrvImap(ImapServer):
    """mailsrv from this checkout."""

    name = "mailsrv"

    def command(self) -> list[str]:
        """One file; the server makes the rest."""
        sys.path.insert(0, str(CHECKOUT))
        from argon2 import PasswordHasher

        text = MAILSRV.format(
            hostname=self.hostname, root=self.root, certificate=self.certificate, key=self.key, smtp=self.smtp_port,
            port=self.port, tls=self.tls_port, hash=PasswordHasher(2, 19456, 1).hash(PASSWORD),
        )  # fmt: skip
        config = self.root / "mailsrv.toml"
        config.write_text(text)
        config.chmod(0o600)
        return [sys.executable, str(CHECKOUT / "bin" / "mailsrv"), "serve", "--config", str(config)]

    def maildir(self) -> Path:
        return self.root / "data" / "accounts" / ACCOUNT

    def adopt(self, path: Path) -> None:
        owner = (self.root / "data").stat()
        for directory, _names, files in os.walk(path):
            for name in (".", *files):
                os.chown(f"{directory}/{name}", owner.st_uid, owner.st_gid)

    def drop_index(self) -> None:
        for path in self.maildir().glob("*.sqlite3*"):
            path.unlink()


class Dovecot(ImapServer):
    """Dovecot on a private configuration; nothing of the machine's own is read."""

    name = "dovecot"
    lmtp = True

    def command(self) -> list[str]:
        """dovecot.conf, and directories of its own."""
        import pwd

        user = pwd.getpwnam("mail")
        for name in ("run", "state"):
            (self.root / name).mkdir(exist_ok=True)
        self.root.chmod(0o755)
        text = DOVECOT.format(
            root=self.root, certificate=self.certificate, key=self.key, uid=user.pw_uid, gid=user.pw_gid,
            password=PASSWORD, port=self.port, tls=self.tls_port, smtp=self.smtp_port,
        )  # fmt: skip
        config = self.root / "dovecot.conf"
        config.write_text(text)
        return ["dovecot", "-F", "-c", str(config)]

    def maildir(self) -> Path:
        return self.root / "mail" / ACCOUNT

    def adopt(self, path: Path) -> None:
        for directory in (self.root / "mail", path):
            shutil.chown(directory, "mail", "mail")
        for directory, _names, files in os.walk(path):
            for name in (".", *files):
                shutil.chown(f"{directory}/{name}", "mail", "mail")

    def drop_index(self) -> None:
        for path in self.maildir().glob("dovecot*"):
            path.unlink()
