"""The vocabulary of the core: values that compare, and kinds that are the configuration's words."""

import typing

from mailsrv.config.schema import LimitsConfig, ListenerConfig
from mailsrv.smtp import events


def test_events_are_values() -> None:
    assert events.DataEnd(3, None) == events.DataEnd(3, None)
    assert events.Hello("EHLO", "a") != events.Hello("HELO", "a")
    assert len(typing.get_args(events.Event)) == 15


def test_kinds_are_those_of_listeners() -> None:
    choices = ListenerConfig.__dataclass_fields__["kind"].metadata["choices"]
    assert sorted(kind.value for kind in events.Kind) == sorted(choices)


def test_limits_have_the_defaults_of_the_configuration() -> None:
    limits, config = events.Limits(), LimitsConfig()
    for name in events.Limits.__dataclass_fields__:
        if name != "auth_line":  # not to be configured
            assert getattr(limits, name) == getattr(config, name), name
