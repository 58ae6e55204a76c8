import inspect
import re
from pathlib import Path

import pytest

from mailsrv.system import events
from mailsrv.system.events import EVENTS, FIELDS, delays
from mailsrv.system.log import LEVELS, open_log
from tests.fakes.clock import FakeClock
from tests.fakes.log import FakeLog

PAGE = (Path(__file__).parents[3] / "man" / "mailsrv-log.5").read_text(encoding="utf-8")

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
        ("certificate", {"state": "kept"}, "error"),
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
        ((0.1234, 0.0004, 0.0005, 0.1), "0.123/0/0.001/0.1"),
        ((1.0, 99.9996, 100.4, 86400.0), "1/100/100/86400"),
        ((-0.5, 10.0, 0.25), "0/10/0.25/0"),
    ],
)
def test_delays(stages, text):
    assert delays(*stages) == text


@pytest.mark.parametrize("name", EVENTS)
def test_the_manual_gives_the_fields_in_their_order(name):
    (item,) = re.findall(rf"^\.It Ic {name}\n(?:.*\n)*?\.D1 (.*)\n", PAGE, re.MULTILINE)
    assert tuple(item.split()) == EVENTS[name].fields
    assert f".It Ic {name}\nLevel {EVENTS[name].level}.\n" in PAGE


@pytest.mark.parametrize("name", FIELDS)
def test_the_manual_explains_every_field(name):
    assert f"\n.It Va {name}\n" in PAGE.partition("\n.Sh FIELDS\n")[2]


@pytest.mark.parametrize(
    ("event", "given", "banned"),
    [
        ("login", {"account": "alice", "result": "wrong"}, "192.0.2.7"),
        ("login", {"account": "alice", "result": "banned"}, "192.0.2.7"),
        ("login", {"account": "", "result": "wrong"}, "192.0.2.7"),
        ("login", {"account": "x client=203.0.113.1 result=wrong", "result": "wrong"}, "192.0.2.7"),
        ("login", {"account": "x\nevent=login id=1 client=203.0.113.1 result=wrong", "result": "ok"}, None),
        ("login", {"account": "alice", "result": "ok"}, None),
        ("refused", {"helo": "event=login id=1 client=203.0.113.1 result=wrong"}, None),
        ("refused", {"reply": "event=login id=1 client=203.0.113.1 result=wrong"}, None),
    ],
)
def test_the_pattern_for_fail2ban_finds_failed_logins_and_cannot_be_deceived(tmp_path, event, given, banned):
    pattern = re.search(r"^failregex = (.*)$", PAGE, re.MULTILINE)[1].replace("\\e", "\\")
    path = tmp_path / "log"
    log = open_log(str(path), "logfmt", "info", FakeClock())
    values = dict.fromkeys(EVENTS[event].fields, "x") | {"client": "192.0.2.7"} | given
    log.write(event, "notice", values)
    pattern = pattern.replace("<HOST>", r"(?P<host>[0-9a-f.:]+)")
    matches = [re.search(pattern, line) for line in path.read_text().splitlines()]
    assert [match["host"] if match else None for match in matches] == [banned]
