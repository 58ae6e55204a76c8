"""Postfix as the peer to measure against: virtual Maildir delivery, its own configuration, queue and data directories.

master(8) is started directly on a private configuration; nothing of the machine's own Postfix is read or written.

Diagnostics: as server.Server; a missing Postfix shows as FileNotFoundError from `available`.
"""

from __future__ import annotations

import pwd
import shutil
import subprocess
from pathlib import Path

from server import DOMAIN, MAILBOXES, Server

QUEUES = "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace"
MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/mail.log
maillog_file_prefixes = {root}
myhostname = {hostname}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_recipient_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
default_process_limit = 1100
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = texthash:{root}/mailboxes
virtual_mailbox_base = {root}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key}, {certificate}
smtpd_tls_session_cache_database =
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
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def available() -> bool:
    """Whether Postfix is installed here (root is needed too: virtual(8) changes its user)."""
    return shutil.which("postconf") is not None


class Postfix(Server):
    """One Postfix in one directory."""

    name = "postfix"

    def command(self) -> list[str]:
        """Configuration, queue and mail directories; master in the foreground."""
        account, owner = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
        config, mail = self.root / "etc", self.root / "mail"
        for directory in (config, self.root / "queue", self.root / "data", mail):
            directory.mkdir()
        for name in QUEUES.split():
            (self.root / "queue" / name).mkdir()
            shutil.chown(self.root / "queue" / name, owner.pw_uid)
        shutil.chown(self.root / "queue" / "pid", 0)
        shutil.chown(self.root / "data", owner.pw_uid)
        shutil.chown(mail, account.pw_uid, account.pw_gid)
        settings = {
            "hostname": self.hostname,
            "domain": DOMAIN,
            "uid": account.pw_uid,
            "gid": account.pw_gid,
            "port": f"127.0.0.1:{self.port}",
        }
        files = {"root": self.root, "certificate": self.certificate, "key": self.key}
        (config / "main.cf").write_text(MAIN.format(**settings, **files))
        (config / "master.cf").write_text(MASTER.format(**settings))
        lines = [f"u{number}@{DOMAIN} u{number}/\n" for number in range(MAILBOXES)]
        (self.root / "mailboxes").write_text("".join(lines))
        programs = subprocess.run(["postconf", "-hd", "daemon_directory"], check=True, capture_output=True, text=True)
        return [f"{programs.stdout.strip()}/master", "-c", str(config), "-d"]

    def mailboxes(self) -> list[Path]:
        """virtual(8) makes them at the first delivery."""
        return [self.root / "mail" / f"u{number}" / "new" for number in range(MAILBOXES)]
