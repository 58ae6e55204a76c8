"""Complaints: one line each, in the order of the file, about values that are not looked at again."""

from mailsrv.config.complaints import Complaints, name_key
from mailsrv.config.lines import Lines

TEXT = "a = 1\n[t]\nb = [\n1]\n"


def test_keys_are_named_as_in_the_manual() -> None:
    assert name_key(("accounts", 3, "addresses", 0)) == "accounts.addresses"
    assert name_key(("aliases", "a@b.c")) == 'aliases."a@b.c"'
    assert name_key(()) == ""


def test_complaints_come_by_line_and_in_order_within_one() -> None:
    complaints = Complaints("f", Lines(TEXT))
    complaints.add(("t", "b", 0), "three")
    complaints.add(("t", "b"), "two")
    complaints.add(("a",), "one")
    complaints.add(("t", "b"), "two again")
    complaints.add((), "of the file")
    assert complaints.faults == [
        "f:1: a: one",
        "f:1: of the file",
        "f:3: t.b: two",
        "f:3: t.b: two again",
        "f:4: t.b: three",
    ]


def test_warnings_are_no_faults() -> None:
    complaints = Complaints("f", Lines(TEXT))
    complaints.warn(("t",), "odd")
    assert complaints.faults == []
    assert complaints.warnings == ["f:2: t: warning: odd"]
    assert not complaints.hit(("t",))


def test_a_value_is_hit_through_itself_and_what_encloses_it() -> None:
    complaints = Complaints("f", Lines(TEXT))
    complaints.add(("t", "b"), "bad")
    complaints.add(("a",), "may be read by others", usable=True)
    assert complaints.hit(("t", "b"))
    assert complaints.hit(("t", "b", 0))
    assert not complaints.hit(("t",))
    assert not complaints.hit(("t", "c"))
    assert not complaints.hit(("a",))


def test_a_value_cannot_forge_a_line() -> None:
    complaints = Complaints("f", Lines(TEXT))
    complaints.add(("a",), 'is "x\nf:9: b: forged\x1b[0m"')
    assert complaints.faults == ['f:1: a: is "x\\nf:9: b: forged\\x1b[0m"']
