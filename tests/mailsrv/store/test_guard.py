"""A bug costs one message's text; trouble with the disk is none."""

import pytest

from mailsrv.errors import StorageError
from mailsrv.store.guard import raise_it, read_safely


def fail(error):
    raise error


def test_what_is_read_is_given():
    assert read_safely(lambda: "text", "", raise_it) == "text"


def test_a_bug_is_told():
    told = []
    bug = ZeroDivisionError("a bug")
    assert read_safely(lambda: fail(bug), "nothing", told.append) == "nothing"
    assert told == [bug]
    with pytest.raises(ZeroDivisionError):
        read_safely(lambda: fail(bug), "nothing", raise_it)


def test_other_trouble_passes_through():
    told = []
    with pytest.raises(StorageError):
        read_safely(lambda: fail(StorageError("x")), "nothing", told.append)
    assert told == []
