"""The last note decides where a message goes."""

import pytest

from mailsrv.config.schema import Config, RouteConfig
from mailsrv.deliver.reroute import find_reroute, read_reroute
from mailsrv.errors import GrammarError
from mailsrv.spool.history import Note
from mailsrv.transport.level import Level

CONFIG = Config(
    hostname="mail.example.com", data_dir="/data", domains=["example.com"],
    routes=[RouteConfig("smtp:relay.example.org:587", accounts=["ada"], username="u", password="p")],
)  # fmt: skip


def note(text: str) -> Note:
    return Note("reroute", text, 1.0)


def test_no_note() -> None:
    assert find_reroute([], CONFIG) is None
    assert find_reroute([Note("cancel", "smtp:x.example:25", 1.0)], CONFIG) is None


def test_the_last_one_counts() -> None:
    router = find_reroute([note("mx:a.example"), note("smtp:b.example:2525")], CONFIG)
    assert router is not None
    assert str(router.route_domain("example.net")) == "smtp:b.example:2525"
    assert str(router.route_domain("example.com")) == "account:"
    assert find_reroute([note("mx:a.example"), note("")], CONFIG) is None


def test_a_next_hop_of_the_configuration_keeps_its_login() -> None:
    router = find_reroute([note("smtp:relay.example.org:587")], CONFIG)
    assert router is not None
    hop = router.route_domain("example.net")
    assert hop.credentials is not None
    assert (hop.credentials.username, hop.level) == ("u", Level.VERIFY)


def test_a_text_that_is_no_next_hop() -> None:
    assert find_reroute([note("nonsense")], CONFIG) is None
    with pytest.raises(GrammarError):
        read_reroute("nonsense", CONFIG)
    assert str(read_reroute("", CONFIG).route_domain("example.net", "ada")) == "smtp:relay.example.org:587"
