"""The directory of `mailsrv try`: a certificate, two accounts with their passwords, a configuration, room for mail.

    cert.pem key.pem   self-signed, P-256
    passwords          one line for each account: name, space, password
    mailsrv.toml       the configuration, written anew at each start
    message.eml        a message to send
    log                the log
    lmtp               the unix socket
    data/              data_dir; given to the service user when started as root

What is there already is kept: mail, passwords and certificate survive from one trial to the next; only the
configuration is written anew, since ports may be taken by then.

Diagnostics: Refused for a directory that cannot be used, with what to do; OSError as the system gives it.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailsrv.errors import Refused
from mailsrv.system import entropy
from mailsrv.system.disk import Disk
from mailsrv.system.tls import make_self_signed
from mailsrv.sasl.scram import SALT_OCTETS, derive, format_key
from mailsrv.directory.passwords import hash_password

NAME = "mailsrv-try"
TEMPORARY = "/var/tmp"  # where root goes from a directory that nobody else can enter, unless TMPDIR says otherwise
DOMAIN = "example.test"  # of the domains that nobody can have (RFC 2606)
HOSTNAME = f"mail.{DOMAIN}"
ACCOUNTS = ("alice", "bob")
DRAIN_SECONDS = 1

_UNIX_PATH = 107  # octets of a unix socket's path, unix(7)
_CERTIFICATE = ("cert.pem", "key.pem")
_ALL_MAY_ENTER = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH

_EXAMPLE = """From: {sender}
To: bob@{domain}
Subject: hello

A line to bob.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The directory and what is in it. `passwords`: account -> password; `lmtp_socket` is "" where its path is too long
    for the system.
    """

    directory: str
    passwords: Mapping[str, str]
    cert_file: str
    key_file: str
    lmtp_socket: str

    def path(self, name: str) -> str:
        """A file of the directory as an absolute path."""
        return f"{self.directory}/{name}"

    @property
    def data_dir(self) -> str:
        """What the configuration calls data_dir."""
        return self.path("data")

    def messages(self, account: str) -> list[str]:
        """Paths of the messages in an account's INBOX."""
        return [str(path) for part in ("new", "cur") for path in _files(f"{self.data_dir}/accounts/{account}/{part}")]

    def queued(self) -> list[str]:
        """Paths of the messages in the queue."""
        return [str(path) for path in _files(f"{self.data_dir}/spool/queue")]


def choose_directory(wanted: str) -> tuple[str, str]:
    """The directory to use, `wanted` or mailsrv-try below the current one, and the reason if it is another ("" if not).

    Started as root, the workers become somebody else; from a place that only root can enter it goes to the system's
    place for temporary files. Raises Refused when `wanted` is such a place.
    """
    directory = os.path.abspath(wanted or NAME)
    closed = _closed_above(directory) if os.geteuid() == 0 else ""
    if not closed:
        return directory, ""
    reason = f"{closed} is closed to all but root, and the workers never run as root"
    other = os.path.abspath(f"{os.environ.get('TMPDIR') or TEMPORARY}/{NAME}")
    if wanted or _closed_above(other):
        raise Refused(f"{reason}: choose a directory that they can enter, such as --dir {TEMPORARY}/{NAME}")
    return other, reason


def prepare(directory: str) -> Place:
    """Make what is missing. Raises Refused for a directory that is not ours to fill."""
    _make_directory(directory)
    disk = Disk()
    cert_file, key_file = (f"{directory}/{name}" for name in _CERTIFICATE)
    if not (disk.exists(cert_file) and disk.exists(key_file)):
        for path in (cert_file, key_file):
            disk.unlink(path, missing_ok=True)
        make_self_signed(directory, ["localhost", HOSTNAME, DOMAIN])
        os.chmod(cert_file, 0o644)
    socket_path = f"{directory}/lmtp"
    if len(os.fsencode(socket_path)) > _UNIX_PATH:
        socket_path = ""
    if not disk.exists(f"{directory}/message.eml"):
        octets = _EXAMPLE.format(sender=f"alice@{DOMAIN}", domain=DOMAIN).replace("\n", "\r\n").encode()
        disk.replace(f"{directory}/message.eml", octets, 0o644)
    return Place(directory, _keep_passwords(disk, f"{directory}/passwords"), cert_file, key_file, socket_path)


def write_config(place: Place, ports: Mapping[str, int]) -> str:
    """Write mailsrv.toml with these ports by kind; gives its path."""
    lines = [
        "# Made by `mailsrv try`, which writes it anew each time: copy it before you change it.",
        f'hostname = "{HOSTNAME}"',
        f"data_dir = {_quote(place.data_dir)}",
        f'domains = ["{DOMAIN}"]',
        "",
        "[tls]",
        f"cert_file = {_quote(place.cert_file)}",
        f"key_file = {_quote(place.key_file)}",
        "",
        "[log]",
        f"destination = {_quote(place.path('log'))}",
        "",
        "[queue]",
        "hold = true  # nothing leaves this machine",
        "",
        "[limits]",
        f"drain_seconds = {DRAIN_SECONDS}",
        "",
        "[bans]",
        'allow = ["127.0.0.0/8"]',
    ]
    for kind, port in ports.items():
        lines += ["", "[[listeners]]", f'kind = "{kind}"', f"port = {port}"]
    if place.lmtp_socket:
        lines += ["", "[[listeners]]", 'kind = "lmtp"', f"addr = {_quote(place.lmtp_socket)}"]
    for name, password in place.passwords.items():
        addresses = [f"{name}@{DOMAIN}"] + ([f"postmaster@{DOMAIN}"] if name == ACCOUNTS[0] else [])
        lines += [
            "",
            "[[accounts]]",
            f'name = "{name}"',
            f"addresses = [{', '.join(map(_quote, addresses))}]",
            f'password_hash = "{hash_password(password)}"',
            f'scram_sha_256 = "{format_key(derive(password, entropy.octets(SALT_OCTETS)))}"',
        ]
    path = place.path("mailsrv.toml")
    Disk().replace(path, ("\n".join(lines) + "\n").encode(), 0o600)
    return path


def _keep_passwords(disk: Disk, path: str) -> dict[str, str]:
    """The passwords of the last trial, or new ones."""
    kept = {}
    if disk.exists(path):
        kept = dict(line.split(maxsplit=1) for line in disk.read(path).decode().splitlines() if " " in line)
    passwords = {name: kept.get(name) or entropy.password() for name in ACCOUNTS}
    if passwords != kept:
        disk.replace(path, "".join(f"{name} {word}\n" for name, word in passwords.items()).encode(), 0o600)
    return passwords


def _make_directory(directory: str) -> None:
    """Make the directory, or see that it is ours: made here before, or empty. Nothing is written anywhere else."""
    try:
        os.mkdir(directory)
    except FileExistsError:
        status = os.lstat(directory)
        if not stat.S_ISDIR(status.st_mode):
            raise Refused(f"{directory} is no directory: choose another one with --dir") from None
        if status.st_uid != os.geteuid():
            # In a directory that everybody can write to, somebody else may have made it to be given our files.
            raise Refused(f"{directory} belongs to another user: choose another one with --dir") from None
        if os.listdir(directory) and not os.path.lexists(f"{directory}/passwords"):
            raise Refused(f"{directory} has other things in it: choose an empty directory with --dir") from None
    if os.geteuid() == 0:
        os.chmod(directory, 0o755)  # the workers, who are not root, pass through it to data/


def _closed_above(directory: str) -> str:
    """The first directory above that not everybody can enter, "" when there is none."""
    for parent in reversed(Path(directory).parents):
        try:
            mode = parent.stat().st_mode
        except OSError:
            return ""  # making the directory will say why
        if mode & _ALL_MAY_ENTER != _ALL_MAY_ENTER:
            return str(parent)
    return ""


def _files(directory: str) -> list[Path]:
    try:
        return [path for path in sorted(Path(directory).iterdir()) if path.is_file()]
    except FileNotFoundError:
        return []


def _quote(text: str) -> str:
    r"""A basic string of TOML: control characters become \UXXXXXXXX, and ${ is itself (mailsrv.toml(5))."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${")
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
