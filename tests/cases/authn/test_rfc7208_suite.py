"""The test suite of RFC 7208, through our evaluation: once over a resolver in memory, once over the real one and a
server on loopback.

The suite is a YAML file in pyspf's source distribution, which is fetched with pip and not copied here; where the
package index cannot be reached the test is skipped and says so. Its zones mean: TIMEOUT is a failure of every type that
the name does not list before it, and a record of type SPF stands for the same one of type TXT unless there is one
(`TXT: NONE` for none).
"""

import importlib.metadata
import subprocess
import sys
import tarfile

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import pytest
import yaml

from mailsrv.authn.spf import check_spf
from mailsrv.mail.address import Address
from mailsrv.system.clock import SystemClock
from mailsrv.system.dns import DnsResolver
from mailsrv.system.dns_wire import parse_name, print_name
from tests.fakes.dns import FakeDnsServer, FakeResolver, Zone

KINDS = {"A", "AAAA", "MX", "TXT", "PTR", "CNAME"}
SECONDS = 60


def download(place, *words):
    """Get the source distribution of the pyspf that is installed; gives pip's complaint. pip wants to build something
    of it even now, in an environment of its own, which takes the index, or in this one, which takes the right tools."""
    words += ("--no-input", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", "pyspf")
    wanted = f"pyspf=={importlib.metadata.version('pyspf')}"
    command = [sys.executable, "-m", "pip", "download", *words, "--dest", str(place), wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"it took more than {SECONDS} s"
    return "" if list(place.glob("*.tar.gz")) else done.stderr.strip() or "nothing came"


@pytest.fixture(scope="session")
def scenarios(tmp_path_factory):
    """The documents of the suite, each with its tests and its zone."""
    place = tmp_path_factory.mktemp("pyspf")
    said = download(place) and download(place, "--no-build-isolation")
    if said:
        pytest.skip(f"the RFC 7208 suite: pip cannot get pyspf's source distribution: {said[-300:]}")
    (path,) = place.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        (member,) = (name for name in archive.getnames() if name.endswith("/rfc7208-tests.yml"))
        return list(yaml.safe_load_all(archive.extractfile(member).read()))


def make_zone(data):
    zone = Zone("")
    for owner, entries in data.items():
        name = print_name(parse_name(owner))
        given = {kind for entry in entries if entry != "TIMEOUT" for kind in entry}
        for entry in entries:
            if entry == "TIMEOUT":
                present = {kind for listed, kind in zone.records if listed == name}
                zone.failing |= {(name, kind) for kind in KINDS - present}
                continue
            ((kind, value),) = entry.items()
            if kind == "SPF":
                if "TXT" in given:
                    continue
                kind = "TXT"
            if value == "NONE":
                continue
            zone.records.setdefault((name, kind), []).append(make_record(kind, value))
            zone.ttls[name, kind] = 300
    return zone


def make_record(kind, value):
    if kind == "TXT":
        strings = [value] if isinstance(value, str) else value
        octets = [string.encode() for string in strings] or [b""]
        parts = [part[i : i + 255] for part in octets for i in range(0, max(len(part), 1), 255)]
        return dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, dns.rdatatype.TXT, parts)
    text = f"{value[0]} {value[1] or '.'}" if kind == "MX" else value
    return dns.rdata.from_text("IN", kind, text, origin=dns.name.root, relativize=False)


def evaluate(case, ask):
    local_part, at, domain = (case["mailfrom"] or "").rpartition("@")
    path = Address(local_part, domain) if at else None
    return check_spf(case["host"], case["helo"], path, ask, 1_700_000_000.0, "receiver.example")


def find_faults(scenario, ask):
    """One line for each case that ends otherwise than the suite wants."""
    for name, case in scenario["tests"].items():
        finding = evaluate(case, ask)
        wanted = case["result"] if isinstance(case["result"], list) else [case["result"]]
        if finding.result.value not in wanted:
            yield f"{scenario['description']}: {name}: {finding.result.value}, not {wanted}: {finding}"
        explanation = case.get("explanation", finding.explanation)
        if finding.explanation != ("" if explanation == "DEFAULT" else explanation):
            yield f"{scenario['description']}: {name}: {finding.explanation!r}, not {explanation!r}"


def test_over_memory(scenarios):
    faults = []
    for scenario in scenarios:
        resolver = FakeResolver()
        resolver.zone = make_zone(scenario["zonedata"])
        faults += find_faults(scenario, resolver.query)
    assert not faults, "\n".join(faults)
    assert sum(len(scenario["tests"]) for scenario in scenarios) > 140


def test_over_the_wire(scenarios):
    faults = []
    for scenario in scenarios:
        with FakeDnsServer() as server:
            server.zone = make_zone(scenario["zonedata"])
            resolver = DnsResolver([server.nameserver], 5.0, SystemClock())
            faults += find_faults(scenario, resolver.query)
    assert not faults, "\n".join(faults)


def test_a_server_that_says_nothing(scenarios):
    """What the suite calls a timeout, as it is: nothing comes."""
    (scenario,) = (scenario for scenario in scenarios if scenario["description"] == "Initial processing")
    with FakeDnsServer("example.com A 192.0.2.1", misbehave={"example.com": "silent"}) as server:
        resolver = DnsResolver([server.nameserver], 0.2, SystemClock())
        case = scenario["tests"]["longlabel"] | {"mailfrom": "foo@example.com"}
        assert evaluate(case, resolver.query).result.value == "temperror"
