import os

import pytest

from mailsrv import errors
from mailsrv.errors import AlreadyThere, Busy, ConfigError, Exit, GrammarError, MailsrvError, Refused, StorageFull


def test_exit_codes_are_those_of_sysexits():
    names = {
        "UNAVAILABLE": "EX_UNAVAILABLE",
        "SOFTWARE": "EX_SOFTWARE",
        "TEMPFAIL": "EX_TEMPFAIL",
        "NOPERM": "EX_NOPERM",
        "CONFIG": "EX_CONFIG",
    }
    assert {name: int(Exit[name]) for name in names} == {name: getattr(os, there) for name, there in names.items()}
    assert (Exit.OK, Exit.FAILED, Exit.USAGE) == (0, 1, 2)


def test_every_error_has_one_root():
    raised = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, MailsrvError) for kind in raised)


@pytest.mark.parametrize("kind", [StorageFull, AlreadyThere])
def test_kinds_of_storage_trouble_are_storage_errors(kind):
    assert issubclass(kind, errors.StorageError)


@pytest.mark.parametrize("kind", [GrammarError, Busy, Refused])
def test_the_others_are_none(kind):
    assert not issubclass(kind, errors.StorageError)


def test_a_configuration_error_says_every_complaint():
    error = ConfigError(["a:1: x: wrong", "a:2: y: wrong"])
    assert str(error) == "a:1: x: wrong\na:2: y: wrong"
    assert error.complaints == ["a:1: x: wrong", "a:2: y: wrong"]
