"""`mailsrv try`: a complete server on free loopback ports in one directory, for looking at it and for trying clients.

It makes what it needs (cli/try_place.py), runs the real `mailsrv serve` as a child, sends one message through it, and
says how to talk to every port. Nothing it does leaves this machine. What is for the user to read is on standard output.

Diagnostics: `run` raises Refused when the directory cannot be used or the server does not do what it should, OSError as
the system gives it.
"""

import argparse
import os
import select
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping

from mailsrv.errors import Exit, Refused
from mailsrv.system.clock import Clock, SystemClock
from mailsrv.serve.signals import Signals
from mailsrv.serve.trial import LOOPBACK, Server, Submission, find_port, submit
from mailsrv.cli.try_place import ACCOUNTS, DOMAIN, Place, choose_directory, prepare, write_config

# Kind -> the port that is taken if it is free, and what the listener is for.
PORTS = {
    "smtp": (2525, "mail from other servers"),
    "submission": (2587, "mail from accounts: STARTTLS, then login"),
    "submissions": (2465, "the same, TLS from the first octet"),
    "lmtp": (2424, "mail from another server of this machine"),
    "imap": (2143, "accounts read their mail: STARTTLS, then login"),
    "imaps": (2993, "the same, TLS from the first octet"),
}

READY_SECONDS = 30.0
DELIVERY_SECONDS = 10.0
STOP_SECONDS = 30.0

_LOOK_SECONDS = 0.05
_OUTSIDER = "carol@example.org"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `mailsrv try`."""
    parser.add_argument("--dir", metavar="DIRECTORY", default="", help="where everything lies (default: ./mailsrv-try)")
    parser.add_argument("--once", action="store_true", help="end after the first message")
    parser.add_argument("--any-port", action="store_true", help="take any free ports, not 2525, 2587 and so on")


def run(arguments: argparse.Namespace) -> int:
    """Start, prove that it works, explain, wait for a signal, end, and say what is left."""
    clock = SystemClock()
    signals = Signals((*_ENDING, signal.SIGCHLD))
    try:
        directory, reason = choose_directory(arguments.dir)
        if reason:
            _say(f"{reason}, so everything lies in {directory}.")
        place = prepare(directory)
        ports = find_ports(arguments.any_port)
        with Server(write_config(place, ports), clock) as server:
            server.wait_ready(READY_SECONDS)
            _say(f"mailsrv runs in {place.directory} and listens on this machine only (process {server.pid}).")
            prove(place, ports, clock)
            if not arguments.once:
                _say(explain(place, ports))
                _wait(signals, server)
            code = server.stop(STOP_SECONDS)
        _say(account_for(place))
    finally:
        signals.forget()
    if code:
        raise Refused(f"the server ended with status {code}; see {place.path('log')}")
    return Exit.OK


def find_ports(any_port: bool) -> dict[str, int]:
    """A free port for every kind; those that are easy to remember as far as they are free, unless any will do."""
    found: dict[str, int] = {}
    for kind, (preferred, _) in PORTS.items():
        found[kind] = find_port(0 if any_port else preferred, frozenset(found.values()))
    return found


def prove(place: Place, ports: Mapping[str, int], clock: Clock) -> None:
    """Send a message from alice to bob and find it in bob's Maildir. Raises Refused when it is not there in time."""
    sender, recipient = (f"{name}@{DOMAIN}" for name in ACCOUNTS)
    lines = (f"From: {sender}", f"To: {recipient}", "Subject: the first message", "", "It went through mailsrv.", "")
    message = "\r\n".join(lines).encode()
    began = clock.monotonic()
    submission = Submission(ACCOUNTS[0], place.passwords[ACCOUNTS[0]], sender, recipient, message)
    identifier = submit(ports["submission"], place.cert_file, submission)
    while not (found := [path for path in place.messages(ACCOUNTS[1]) if identifier in path]):
        if clock.monotonic() > began + DELIVERY_SECONDS:
            raise Refused(f"message {identifier} was accepted, but does not lie in the Maildir of {ACCOUNTS[1]}")
        select.select([], [], [], _LOOK_SECONDS)
    milliseconds = (clock.monotonic() - began) * 1000
    _say(f"A message from {sender} to {recipient}, with STARTTLS and a login, took {milliseconds:.0f} ms and lies in")
    _say(f"  {found[0]}")


def commands(place: Place, ports: Mapping[str, int]) -> dict[str, list[str]]:
    """How to talk to each listener: command lines for a shell, by kind. tests/whole/test_try.py runs them all."""
    user, recipient = ACCOUNTS[0], f"bob@{DOMAIN}"
    cert, file = shlex.quote(place.cert_file), shlex.quote(place.path("message.eml"))
    password = place.passwords[user]
    inside = f"--from {user}@{DOMAIN} --to {recipient} --auth PLAIN --auth-user {user} --auth-password {password}"
    outside = f"--from {_OUTSIDER} --to {recipient}"
    upload = f"--mail-rcpt {recipient} --upload-file {file}"
    verify = f"-CAfile {cert} -verify_return_error -verify_hostname localhost -crlf -quiet"
    smtp, submission, submissions, lmtp, imap, imaps = (ports[kind] for kind in PORTS)
    reader = f"--cacert {cert} --user bob:{place.passwords['bob']}"
    made = {
        "smtp": [
            f"swaks --server {LOOPBACK}:{smtp} {outside}",
            f"curl smtp://{LOOPBACK}:{smtp} --mail-from {_OUTSIDER} {upload}",
            f"openssl s_client -connect {LOOPBACK}:{smtp} -starttls smtp {verify}",
        ],
        "submission": [
            f"swaks --server {LOOPBACK}:{submission} --tls {inside}",
            f"curl smtp://localhost:{submission} --ssl-reqd --cacert {cert} --user {user}:{password} "
            f"--mail-from {user}@{DOMAIN} {upload}",
            f"openssl s_client -connect {LOOPBACK}:{submission} -starttls smtp {verify}",
        ],
        "submissions": [
            f"swaks --server {LOOPBACK}:{submissions} --tls-on-connect {inside}",
            f"curl smtps://localhost:{submissions} --cacert {cert} --user {user}:{password} "
            f"--mail-from {user}@{DOMAIN} {upload}",
            f"openssl s_client -connect {LOOPBACK}:{submissions} {verify}",
        ],
        "lmtp": [f"swaks --protocol LMTP --server {LOOPBACK}:{lmtp} {outside}"],
        "imap": [
            f"curl imap://localhost:{imap}/ --ssl-reqd {reader}",
            f"openssl s_client -connect {LOOPBACK}:{imap} -starttls imap {verify}",
        ],
        "imaps": [
            f"curl 'imaps://localhost:{imaps}/INBOX;UID=1' {reader}",
            f"openssl s_client -connect {LOOPBACK}:{imaps} {verify}",
        ],
    }
    if place.lmtp_socket:
        made["lmtp"].append(f"swaks --protocol LMTP --socket {shlex.quote(place.lmtp_socket)} {outside}")
    return made


def explain(place: Place, ports: Mapping[str, int]) -> str:
    """What the user reads while it runs."""
    lines = [
        "",
        "The accounts and their passwords:",
        *(f"  {name:<8}{password:<20}{name}@{DOMAIN}" for name, password in place.passwords.items()),
        "",
        "How to talk to it (each line works as it stands; openssl leaves you in the dialogue, which QUIT ends, and",
        "a LOGOUT with IMAP):",
    ]
    for kind, made in commands(place, ports).items():
        lines += ["", f"  port {ports[kind]}, {kind}: {PORTS[kind][1]}"]
        if kind == "lmtp" and place.lmtp_socket:
            lines[-1] += f"; also the socket {place.lmtp_socket}"
        lines += [f"    {command}" for command in made]
    server = f"{_program()} --config {shlex.quote(place.path('mailsrv.toml'))}"
    lines += [
        "",
        "Where things lie:",
        f"  mail of bob        {place.data_dir}/accounts/bob/new/",
        f"  mail to elsewhere  {place.data_dir}/spool/queue/  (held there; it is never sent anywhere)",
        f"  log                {place.path('log')}",
        f"  decisions          {place.data_dir}/decisions/current.jsonl",
        f"  configuration      {place.path('mailsrv.toml')}",
        "",
        "Ask the server from another terminal:",
        *(f"  {server} {command}" for command in ("status", "who", "config -n")),
        "",
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)


def account_for(place: Place) -> str:
    """What is left on disk after the end."""
    lines = [f"\nmailsrv has ended. In {place.directory} are left:"]
    counts = [(f"of {name}", len(place.messages(name))) for name in place.passwords]
    counts.append(("in the queue, never sent", len(place.queued())))
    lines += [f"  {count} message{'' if count == 1 else 's'} {whose}" for whose, count in counts]
    lines += [
        "  the log, the decision record, the configuration, the certificate and the passwords,",
        "  which the next `mailsrv try` in this directory uses again.",
        f"Remove it all with: rm -r {shlex.quote(place.directory)}",
    ]
    return "\n".join(lines)


def _wait(signals: Signals, server: Server) -> None:
    """Until a signal asks for the end, or the server has ended by itself."""
    while server.ended() is None:
        select.select([signals.socket], [], [])
        if set(signals.take()) & set(_ENDING):
            return


def _program() -> str:
    """How this program is called: by its name where the shell finds it so, else by its path."""
    found, own = shutil.which("mailsrv"), os.path.abspath(sys.argv[0])
    return "mailsrv" if found and os.path.realpath(found) == os.path.realpath(own) else shlex.quote(own)


def _say(text: str) -> None:
    print(text, flush=True)
