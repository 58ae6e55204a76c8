"""The events of the SMTP core: one closed set of values, and names that agree with the configuration."""

import dataclasses
import typing

from mailsrv.config.schema import DEFAULT_PORTS, LimitsConfig
from mailsrv.smtp import events
from mailsrv.smtp.events import Event, Kind, Limits, Offer


def test_the_set_of_events_is_complete() -> None:
    values = {
        value
        for value in vars(events).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == events.__name__
    }
    assert values - {Offer, Limits} == set(typing.get_args(Event))


def test_events_are_values() -> None:
    for event in typing.get_args(Event):
        assert event.__dataclass_params__.frozen, event
        assert "__slots__" in vars(event), event


def test_the_kinds_are_the_words_of_the_configuration() -> None:
    assert {kind.value for kind in Kind} <= set(DEFAULT_PORTS)


def test_the_limits_have_the_names_and_defaults_of_the_configuration() -> None:
    configured = {field.name: field.default for field in dataclasses.fields(LimitsConfig)}
    for field in dataclasses.fields(Limits):
        if field.name in configured:
            assert field.default == configured[field.name], field.name
    # The one bound that RFC 4954 section 4 gives and nobody needs to turn.
    assert {field.name for field in dataclasses.fields(Limits)} - set(configured) == {"auth_line"}
