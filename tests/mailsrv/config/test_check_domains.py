"""Domain names: which are full, and what is only a warning."""

from dataclasses import replace

import pytest

from mailsrv.config.check_domains import check_domain_aliases, check_domains, check_hostname, explain_domain
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import Lines
from mailsrv.config.schema import Config, ListenerConfig

SOUND = Config("mail.example.org", "/d", domains=["example.org"], listeners=[ListenerConfig("smtp")])


@pytest.mark.parametrize(
    "domain", ["example.org", "EXAMPLE.org", "a-b.c1.x0", "1.example", "bücher.example", "xn--a.b"]
)
def test_domains(domain: str) -> None:
    assert explain_domain(domain) == ""


LONG = ".".join(["x" * 60] * 5)


@pytest.mark.parametrize(
    "domain",
    [
        "",
        ".",
        "org",
        "example.org.",
        ".example.org",
        "a..b",
        "-a.b",
        "a-.b",
        "a_b.c",
        "a b.c",
        "192.0.2.1",
        "[::1]",
        "💥.de",
    ]
    + [LONG, "x" * 64 + ".org"],
)
def test_no_domains(domain: str) -> None:
    assert explain_domain(domain)


def warnings(config: Config) -> list[str]:
    complaints = Complaints("f", Lines(""))
    check_domains(config, complaints)
    assert complaints.faults == []
    return complaints.warnings


def test_denying_everything_is_allowed_but_said() -> None:
    assert warnings(SOUND) == []
    assert "every recipient will be denied" in warnings(replace(SOUND, domains=[]))[0]
    assert "nothing will be served" in warnings(replace(SOUND, listeners=[]))[0]
    assert len(warnings(replace(SOUND, domains=[], listeners=[]))) == 1


def test_hostname_must_be_ascii_and_short_enough_for_a_reply() -> None:
    for name, part in (
        ("bücher.example", "must be xn--bcher-kva.example"),
        (LONG[:254], "longer than 253"),
        ("x", "dot"),
    ):
        complaints = Complaints("f", Lines(""))
        check_hostname(replace(SOUND, hostname=name), complaints)
        assert len(complaints.faults) == 1
        assert part in complaints.faults[0]


def test_a_domain_alias_names_a_domain_of_ours() -> None:
    complaints = Complaints("f", Lines(""))
    aliases = {"EXAMPLE.net": "Example.ORG", "example.com": "example.net"}
    check_domain_aliases(replace(SOUND, domain_aliases=aliases), complaints)
    assert [fault.split(": ")[1] for fault in complaints.faults] == ['domain_aliases."example.com"']
