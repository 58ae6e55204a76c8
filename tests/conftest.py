"""Plumbing of every test: repeatable random examples, and no octet leaves this machine."""

import ipaddress
import os
import sys
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# Flaky is broken: the same examples in every run, no time limit per example on a loaded machine, nothing on disk.
settings.register_profile(
    "mailsrv", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("mailsrv")

# What a service manager may have left in the environment of whoever runs the tests does not change a result.
for _name in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC"):
    os.environ.pop(_name, None)


class OutsideWorld(AssertionError):
    """A test tried to reach something that is not this machine."""


def _check_address(address):
    """Raise OutsideWorld unless a socket address is a Unix path, loopback or a literal that means this machine."""
    if not isinstance(address, tuple):
        return
    host = address[0] or "127.0.0.1"
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if host != "localhost":
            raise OutsideWorld(f"a test connects to {host!r}: there is no live DNS in tests") from None
        return
    if not (ip.is_loopback or ip.is_unspecified):
        raise OutsideWorld(f"a test connects to {host}: tests stay on loopback")


def _check_name(host):
    """Raise OutsideWorld for a name lookup that would ask a real resolver."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost"):
        return
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        raise OutsideWorld(f"a test looks up {host!r}: there is no live DNS in tests") from None


def _watch(event, arguments):
    """The audit hook (PEP 578): it cannot be patched away by the code under test."""
    if not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto"):
        _check_address(arguments[1])
    elif event == "socket.getaddrinfo":
        _check_name(arguments[0])


sys.addaudithook(_watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where the peers are promised (tests/run as root), a test of them that is skipped has not been made: it fails."""
    report = yield
    if report.skipped and os.environ.get("MAILSRV_PEERS") == "required" and "tests/peers" in item.nodeid:
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else "skipped"
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason}, and MAILSRV_PEERS=required allows no skip"
    return report
