"""The house: who is in bans.allow."""

from dataclasses import fields
from types import SimpleNamespace

import pytest

from mailsrv.config.schema import BansConfig
from mailsrv.imapd.house import House


@pytest.mark.parametrize(
    ("client", "allow", "allowed"),
    [
        ("192.0.2.1", [], False),
        ("192.0.2.1", ["192.0.2.0/24"], True),
        ("192.0.3.1", ["192.0.2.0/24"], False),
        ("2001:db8::1", ["192.0.2.0/24", "2001:db8::/32"], True),
        ("local", ["0.0.0.0/0"], False),
    ],
)
def test_who_is_allowed(client, allow, allowed) -> None:
    config = SimpleNamespace(bans=BansConfig(allow=allow))
    house = House(config, *[None] * (len(fields(House)) - 1))
    assert house.allows(client) is allowed
