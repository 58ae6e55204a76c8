"""mailsrv as the server under test: the real command from this checkout, with a configuration of its own.

Sender checks are off, since loopback is exempt from them (tests/bench/authn.py has them on); durability, logging and
limits are as shipped, except that the loopback client may open as many connections as the cases need.

Diagnostics: as server.Server.
"""

from __future__ import annotations

import sys
from pathlib import Path

from server import DOMAIN, MAILBOXES, Server

CHECKOUT = Path(__file__).resolve().parents[2]
MAIN = """\
hostname = "{hostname}"
data_dir = "{root}/data"
domains = ["{domain}"]

[[listeners]]
kind = "smtp"
addr = "127.0.0.1"
port = {port}

[tls]
cert_file = "{certificate}"
key_file = "{key}"

[limits]
{limits}
"""
LIMITS = """\
connections = 4000
connections_per_address = 4000
"""
ACCOUNT = """
[[accounts]]
name = "u{number}"
addresses = [{addresses}]
"""


def available() -> bool:
    """Whether this checkout has the command."""
    return (CHECKOUT / "bin" / "mailsrv").exists()


class Mailsrv(Server):
    """One mailsrv in one directory."""

    name = "mailsrv"
    more = ""  # tables of the configuration beside those of the cases

    def command(self) -> list[str]:
        """One configuration file; the server makes its data directory itself."""
        paths = {"root": self.root, "certificate": self.certificate, "key": self.key}
        text = MAIN.format(**paths, hostname=self.hostname, domain=DOMAIN, port=self.port, limits=LIMITS)
        for number in range(MAILBOXES):
            addresses = [f"u{number}@{DOMAIN}"] + ([f"postmaster@{DOMAIN}"] if number == 0 else [])
            text += ACCOUNT.format(number=number, addresses=", ".join(f'"{address}"' for address in addresses))
        config = self.root / "mailsrv.toml"
        config.write_text(text + self.more)
        config.chmod(0o600)
        return [sys.executable, str(CHECKOUT / "bin" / "mailsrv"), "serve", "--config", str(config)]

    def mailboxes(self) -> list[Path]:
        """Where a delivery lies once it has its 250."""
        return [self.root / "data" / "accounts" / f"u{number}" / "new" for number in range(MAILBOXES)]
