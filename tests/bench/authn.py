"""Benchmark of the sender checks: the same mail to mailsrv with all of them on, and with none; a command, not a test.

    tests/bench/authn.py [--rounds 3] [--messages 2000] [--connections 10]

Every message has 4 KiB, one RSA-2048 and one Ed25519 signature, and comes from a domain with SPF (an include, then
ip4), DMARC (reject, aligned by both) and a client whose name leads back to it. A DNS server on loopback knows all that;
its answers are cached after the first messages, as those of a sender who writes often are. Rounds are interleaved; the
report has messages per second and CPU seconds per 1000 messages of each, and what the checks add.

Diagnostics: a message that does not pass DMARC, or is lost, makes the exit status 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

import load
import place
from cases import WARM_UP
from mailsrv_server import CHECKOUT, Mailsrv
from server import ServerError

sys.path.insert(0, str(CHECKOUT))

from mailsrv.authn.dkim import FieldNames, SigningKey, hash_body, select_fields, sign
from mailsrv.authn.keys import Algorithm, make_private_key
from mailsrv.mail.header import scan
from tests.fakes.dns import FakeDnsServer

WANTED_CPU = 2.5
SENDER = "sender.test"
ZONE = f"""\
{SENDER} TXT v=spf1 include:_spf.{SENDER} -all
_spf.{SENDER} TXT v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 ip4:127.0.0.1 ~all
_dmarc.{SENDER} TXT v=DMARC1; p=reject; rua=mailto:dmarc@{SENDER}
{SENDER} MX 10 mx.{SENDER}
1.0.0.127.in-addr.arpa PTR mx.{SENDER}
mx.{SENDER} A 127.0.0.1
"""
# The load puts a Message-ID of its own on top of every message: everything else is signed.
FIELDS = FieldNames((b"from", b"to", b"subject", b"date", b"mime-version", b"content-type"), ())


class Checked(Mailsrv):
    """mailsrv with every check on; its nameserver is set by the class's maker."""

    name = "checked"


def make_message(size: int) -> tuple[bytes, str]:
    """(the text behind the Message-ID with its final dot, the zone lines of its keys)."""
    keys = [SigningKey(SENDER, f"s{kind.value}", make_private_key(kind)) for kind in (Algorithm.ED25519, Algorithm.RSA)]
    body = load.LINE * ((size - len(load.HEADER) - 1200) // len(load.LINE))
    scanned = scan(load.HEADER, True)
    assert scanned is not None
    signatures = sign(select_fields(scanned, FIELDS), hash_body([body]), keys, 1_000_000_000)
    records = [f"{key.selector}._domainkey.{SENDER} TXT {key.private.public.record}\n" for key in keys]
    return signatures + load.HEADER + body + b".\r\n", "".join(records)


def measure_one(server: Mailsrv, text: bytes, messages: int, connections: int) -> tuple[float, float]:
    """(messages per second, CPU seconds per 1000 messages) of a fresh server, after a warm-up."""
    server.start()
    try:
        load.run(load.Plan(server.port, 10, WARM_UP, text=text))
        server.wait_delivered(WARM_UP)
        cpu = server.group.cpu_seconds()
        seen = load.run(load.Plan(server.port, connections, messages, text=text, first=WARM_UP))
        end = server.wait_delivered(WARM_UP + messages)
        cpu = server.group.cpu_seconds() - cpu
    finally:
        server.stop()
    return messages / (end - seen.started), cpu / messages * 1000


def check_results(server: Mailsrv) -> None:
    """What was measured is what was meant: both signatures, SPF and DMARC passed."""
    path = next(path for directory in server.mailboxes() if directory.exists() for path in directory.iterdir())
    header = path.read_text().partition("\n\n")[0]
    results = header.partition("Authentication-Results:")[2]
    if results.count("dkim=pass") != 2 or not all(f"{word}=pass" in results for word in ("spf", "dmarc", "iprev")):
        raise ServerError(f"not every check passed:\n{header}")


def main(arguments: list[str] | None = None) -> int:
    """Measure both in turn, print; 1 if anything failed."""
    parser = argparse.ArgumentParser(description="what the sender checks cost")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=10)
    options = parser.parse_args(arguments)
    base = Path(tempfile.mkdtemp(prefix="mailsrv-bench-"))
    base.chmod(0o755)
    place.spread(base)
    text, records = make_message(4096)
    seen: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
    failure = ""
    try:
        with FakeDnsServer(ZONE + records) as dns:
            Checked.more = f'\n[checks]\nexempt = []\n\n[dns]\nnameservers = ["{dns.nameserver}"]\n'
            for number in range(options.rounds):
                for kind, make in (("without", Mailsrv), ("with", Checked)):
                    server = make(place.make_directory(base, f"{number:03d}-{kind}"))
                    seen[kind].append(measure_one(server, text, options.messages, options.connections))
                check_results(server)
    except (load.LoadError, ServerError, OSError) as error:
        failure = f"FAILED {error}"
    for kind, runs in seen.items():
        if runs:
            rates, costs = ([run[index] for run in runs] for index in (0, 1))
            spread = f"({min(rates):,.0f}-{max(rates):,.0f})"
            print(f"{kind:8} {median(rates):7,.0f} messages/s {spread:15} {median(costs):6.2f} CPU s per 1000")
    if seen["with"]:
        added = median(run[1] for run in seen["with"]) - median(run[1] for run in seen["without"])
        print(f"the checks add {added:.2f} CPU s per 1000 messages (wanted: at most {WANTED_CPU})")
    if failure:
        print(failure)
    shutil.rmtree(base)
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
