import inspect

import pytest

from mailsrv.system import events
from mailsrv.system.events import EVENTS, FIELDS, delays
from mailsrv.system.log import LEVELS
from tests.fakes.log import FakeLog

FUNCTIONS = {
    name: function
    for name, function in inspect.getmembers(events, inspect.isfunction)
    if function.__module__ == events.__name__ and "log" in inspect.signature(function).parameters
}


def call(name, **given):
    """Call an event with a value for each of its fields; gives what the log was told."""
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters)[1:]
    log = FakeLog()
    FUNCTIONS[name](log, **{parameter: given.get(parameter, ["x"]) for parameter in parameters})
    (written,) = log.events
    return written


def test_each_event_has_one_function_and_no_other_is_there():
    assert set(FUNCTIONS) == set(EVENTS)


@pytest.mark.parametrize("name", EVENTS)
def test_the_function_takes_and_writes_the_fields_of_the_table(name):
    parameters = [parameter.rstrip("_") for parameter in inspect.signature(FUNCTIONS[name]).parameters]
    assert parameters == ["log", *EVENTS[name].fields]
    given = {"traceback": "x"} if name == "bug" else {}
    written, _, fields = call(name, **given)
    assert written == name
    assert tuple(fields) == EVENTS[name].fields


@pytest.mark.parametrize("name", EVENTS)
def test_the_table_is_whole(name):
    event = EVENTS[name]
    assert event.level in LEVELS and event.meaning
    assert set(event.fields) <= set(FIELDS)


def test_no_field_without_an_event():
    assert set(FIELDS) == {field for event in EVENTS.values() for field in event.fields}


@pytest.mark.parametrize(
    ("name", "given", "level"),
    [
        ("received", {}, "info"),
        ("attempt", {"status": "delivered"}, "info"),
        ("attempt", {"status": "delayed"}, "info"),
        ("attempt", {"status": "failed"}, "warning"),
        ("login", {"result": "ok"}, "info"),
        ("login", {"result": "wrong"}, "notice"),
        ("login", {"result": "banned"}, "notice"),
        ("reload", {"result": "ok"}, "notice"),
        ("reload", {"result": "refused"}, "error"),
        ("worker", {"state": "ready"}, "info"),
        ("worker", {"state": "died"}, "warning"),
        ("worker", {"state": "backoff"}, "warning"),
        ("certificate", {"state": "loaded"}, "notice"),
        ("certificate", {"state": "refused"}, "error"),
        ("bug", {"traceback": "x"}, "error"),
    ],
)
def test_the_level_follows_the_outcome(name, given, level):
    assert call(name, **given)[1] == level


def test_the_end_of_a_long_traceback_is_kept():
    assert call("bug", traceback="first" + "x" * 5000 + "last")[2]["traceback"].endswith("last")


@pytest.mark.parametrize(
    ("stages", "text"),
    [
        ((0.0, 0.0, 0.0, 0.0), "0/0/0/0"),
        ((0.123, 0.004, 0.005, 0.1), "0.12/0/0.01/0.1"),
        ((1.0, 99.996, 100.4, 86400.0), "1/100/100/86400"),
        ((-0.5, 10.0, 0.25), "0/10/0.25/0"),
    ],
)
def test_delays(stages, text):
    assert delays(*stages) == text
