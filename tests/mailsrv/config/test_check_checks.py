"""How others' mail is judged: tests/cases/config has the exact complaints, here is the form of filters and lists."""

from dataclasses import replace

import pytest

from mailsrv.config.check_checks import check_contact, check_filter, check_greylist, check_sealers, check_zones
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath, Lines
from mailsrv.config.schema import ArcConfig, Config, DmarcConfig, DnsblConfig, FilterConfig, GreylistConfig

SOUND = Config("mail.example.org", "/var/lib/mailsrv", domains=["example.org"])
WRONG = [
    (check_sealers, replace(SOUND, arc=ArcConfig(["list"])), ("arc", "trusted", 0)),
    (check_contact, replace(SOUND, dmarc=DmarcConfig(contact="a b")), ("dmarc", "contact")),
    (check_contact, replace(SOUND, dmarc=DmarcConfig(organization="a\nb")), ("dmarc", "organization")),
    (
        check_greylist,
        replace(SOUND, greylist=GreylistConfig(delay_seconds=60, window_seconds=60)),
        ("greylist", "window_seconds"),
    ),
    (check_zones, replace(SOUND, dnsbl=DnsblConfig(["bl"])), ("dnsbl", "zones", 0)),
    (check_zones, replace(SOUND, dnsbl=DnsblConfig([], ["bl"])), ("dnsbl", "allow_zones", 0)),
    (check_filter, replace(SOUND, filter=FilterConfig(rspamd="localhost")), ("filter", "rspamd")),
    (check_filter, replace(SOUND, filter=FilterConfig(milter="localhost")), ("filter", "milter")),
]


def run(check_one, config: Config, *hit: KeyPath) -> list[str]:
    complaints = Complaints("f", Lines(""))
    for path in hit:
        complaints.add(path, "hit")
    check_one(config, complaints)
    return [fault for fault in complaints.faults if not fault.endswith(": hit")]


@pytest.mark.parametrize(("check_one", "config", "path"), WRONG)
def test_what_is_wrong_is_said_once(check_one, config, path) -> None:
    assert len(run(check_one, config)) == 1
    assert run(check_one, config, path) == []
    assert run(check_one, config, path[:1]) == []
    assert run(check_one, SOUND) == []


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://127.0.0.1:11333", True),
        ("http://[::1]:11333", True),
        ("http://rspamd.example.org", True),
        ("http://127.0.0.1:0", False),
        ("http://127.0.0.1:99999", False),
        ("http://[::1", False),
        ("http://", False),
        ("http://a b", False),
        ("http://127.0.0.1:11333/?a=b", False),
        ("http://127.0.0.1:11333/#a", False),
        ("https://127.0.0.1:11333", False),
        ("ftp://127.0.0.1", False),
    ],
)
def test_urls_of_rspamd(url: str, good: bool) -> None:
    assert bool(run(check_filter, replace(SOUND, filter=FilterConfig(rspamd=url)))) is not good


@pytest.mark.parametrize(
    ("where", "good"),
    [
        ("inet:127.0.0.1:11332", True),
        ("inet:[::1]:11332", True),
        ("inet:localhost:11332", True),
        ("unix:/run/milter.sock", True),
        ("inet:127.0.0.1:0", False),
        ("inet:127.0.0.1:70000", False),
        ("inet:127.0.0.1", False),
        ("unix:run/milter.sock", False),
        ("/run/milter.sock", False),
        ("inet6:11332@[::1]", False),
    ],
)
def test_places_of_milters(where: str, good: bool) -> None:
    assert bool(run(check_filter, replace(SOUND, filter=FilterConfig(milter=where)))) is not good


def test_there_is_one_filter() -> None:
    two = FilterConfig(rspamd="http://127.0.0.1", milter="unix:/run/milter.sock")
    assert len(run(check_filter, replace(SOUND, filter=two))) == 1
