"""What leaves: tests/cases/config has the exact complaints, here is what is said once, and what a fault hides."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mailsrv.config.check import CHECKS
from mailsrv.config.check_queue import (
    check_dkim,
    check_next_hops,
    check_queue,
    check_reports,
    check_srs,
    pattern_key,
)
from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath, Lines
from mailsrv.config.schema import TLS_LEVELS, Config, DkimConfig, QueueConfig, ReportsConfig, RouteConfig

SOUND = Config("mail.example.org", "/var/lib/mailsrv", domains=["example.org"])


def run(check_one: Callable[[Config, Complaints], None], config: Config, *hit: KeyPath) -> list[str]:
    complaints = Complaints("f", Lines(""))
    for path in hit:
        complaints.add(path, "hit")
    check_one(config, complaints)
    return [fault for fault in complaints.faults if not fault.endswith(": hit")]


def queue(**keys: object) -> Config:
    return replace(SOUND, queue=replace(QueueConfig(), **keys))


def routes(*several: RouteConfig) -> Config:
    return replace(SOUND, routes=list(several))


WRONG: list[tuple[Callable[[Config, Complaints], None], Config, KeyPath]] = [
    (check_queue, queue(retry_seconds=[]), ("queue", "retry_seconds")),
    (check_queue, queue(delay_report_seconds=432_000), ("queue",)),
    (check_queue, queue(connections=4), ("queue", "connections")),
    (check_queue, queue(helo_name="x"), ("queue", "helo_name")),
    (check_next_hops, routes(RouteConfig("x", ["*"])), ("routes", 0, "next_hop")),
    (check_next_hops, routes(RouteConfig("direct")), ("routes", 0)),
    (check_next_hops, routes(RouteConfig("direct", ["a b"])), ("routes", 0, "domains", 0)),
    (check_next_hops, routes(RouteConfig("direct", [], ["bob"])), ("routes", 0, "accounts", 0)),
    (check_next_hops, routes(RouteConfig("direct", [], ["bob"])), ("accounts",)),
    (check_next_hops, routes(RouteConfig("lmtp:/x", ["*"], tls="may")), ("routes", 0, "tls")),
    (check_next_hops, routes(RouteConfig("smtp:x", ["*"], username="x")), ("routes", 0, "password")),
    (check_srs, replace(SOUND, srs_secret="short"), ("srs_secret",)),
    (check_reports, replace(SOUND, reports=ReportsConfig(languages=[])), ("reports", "languages")),
    (check_reports, replace(SOUND, reports=ReportsConfig(languages=["e"])), ("reports", "languages", 0)),
    (check_reports, replace(SOUND, reports=ReportsConfig(template_dir="x")), ("reports", "template_dir")),
    (check_reports, replace(SOUND, reports=ReportsConfig(author="a b")), ("reports", "author")),
    (check_dkim, replace(SOUND, dkim=DkimConfig(headers=["a b"])), ("dkim", "headers", 0)),
    (check_dkim, replace(SOUND, dkim=DkimConfig(retire_days=4)), ("queue",)),
]


@pytest.mark.parametrize(("check_one", "config", "path"), WRONG)
def test_what_is_wrong_is_said_once(
    check_one: Callable[[Config, Complaints], None], config: Config, path: KeyPath
) -> None:
    assert check_one in CHECKS
    assert len(run(check_one, config)) == 1
    assert run(check_one, config, path) == [], "a value that was complained about is left out"


@pytest.mark.parametrize("tls", TLS_LEVELS)
@pytest.mark.parametrize("host", ["relay.example", "127.0.0.1", "[::1]", "localhost", "192.0.2.1"])
def test_no_password_goes_readable_over_the_network(host: str, tls: str) -> None:
    route = RouteConfig(f"smtp:{host}:587", ["*"], tls=tls, username="alice", password="x")
    allowed = tls in ("", "encrypt", "verify") or host in ("127.0.0.1", "[::1]", "localhost")
    assert (run(check_next_hops, routes(route)) == []) is allowed


SHADOWED = [
    (RouteConfig("direct", ["*"]), RouteConfig("direct", ["a.example"]), True),
    (RouteConfig("direct", ["a.example", "b.example"]), RouteConfig("direct", ["B.example"]), True),
    (RouteConfig("direct", ["a.example"]), RouteConfig("direct", ["a.example"], ["alice"]), True),
    (RouteConfig("direct", [], ["alice"]), RouteConfig("direct", ["a.example"], ["alice"]), True),
    (RouteConfig("direct", ["a.example"], ["alice"]), RouteConfig("direct", ["a.example"]), False),
    (RouteConfig("direct", ["a.example"]), RouteConfig("direct", ["a.example", "b.example"]), False),
    (RouteConfig("direct", ["a.example"]), RouteConfig("direct", [".a.example"]), False),
    (RouteConfig("direct", ["a.example", "x y"]), RouteConfig("direct", ["a.example"]), False),
]


@pytest.mark.parametrize(("first", "second", "useless"), SHADOWED)
def test_a_route_that_gets_no_mail_is_told(first: RouteConfig, second: RouteConfig, useless: bool) -> None:
    said = run(check_next_hops, routes(first, second), ("accounts",))
    assert any("routes above it take already" in fault for fault in said) is useless


def test_a_route_for_a_domain_of_ours_is_only_a_warning() -> None:
    complaints = Complaints("f", Lines(""))
    check_next_hops(routes(RouteConfig("direct", ["EXAMPLE.org"])), complaints)
    assert complaints.faults == []
    assert "delivered here" in complaints.warnings[0]


def test_patterns_compare_as_domains_do() -> None:
    assert pattern_key(".BÜCHER.example") == ".xn--bcher-kva.example"
    assert pattern_key("Bücher.example") == "xn--bcher-kva.example"
    assert pattern_key("*") == "*"
