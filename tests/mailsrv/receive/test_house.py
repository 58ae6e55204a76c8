"""The house: its allow list."""

import pytest

from mailsrv.config.schema import BansConfig
from tests.mailsrv.receive.fakes import make_config, make_house


@pytest.mark.parametrize(
    ("client", "allowed"),
    [
        ("192.0.2.7", True), ("192.0.3.7", False), ("::ffff:192.0.2.7", True), ("2001:db8:1::1", True),
        ("2001:db9::1", False), ("local", False), ("", False), ("198.51.100.1", True),
    ],
)
def test_allow_list(client: str, allowed: bool) -> None:
    house = make_house(config=make_config(bans=BansConfig(allow=["192.0.2.0/24", "2001:db8::/32", "198.51.100.1"])))
    assert house.allows(client) is allowed


def test_without_allow_list_nobody_is_excepted() -> None:
    assert not make_house().allows("127.0.0.1")
