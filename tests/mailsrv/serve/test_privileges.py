import os
import pwd
import types

import pytest

from mailsrv.config.schema import Config, PrivilegesConfig
from mailsrv.errors import ConfigError
from mailsrv.serve import privileges
from mailsrv.serve.privileges import FIRST_NUMBER, Identity, choose


@pytest.fixture
def names(monkeypatch):
    """A user database of the test's own: root, mailsrv 105:110, alice 1000:1000, and somebody who has the first
    number.
    """
    rows = {"root": (0, 0), "mailsrv": (105, 110), "alice": (1000, 1000), "somebody": (FIRST_NUMBER, FIRST_NUMBER)}

    def entry(name):
        uid, gid = rows[name]
        return types.SimpleNamespace(pw_name=name, pw_uid=uid, pw_gid=gid)

    monkeypatch.setattr(pwd, "getpwnam", entry)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry({uid: name for name, (uid, _) in rows.items()}[uid]))
    return rows


@pytest.fixture
def root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def owner(monkeypatch):
    """Says who owns data_dir."""

    def say(uid, gid):
        monkeypatch.setattr(privileges.os, "stat", lambda path: types.SimpleNamespace(st_uid=uid, st_gid=gid))

    return say


def make(user="", group=""):
    return Config(
        hostname="mx.example.test",
        data_dir="/nowhere/data",
        privileges=PrivilegesConfig(user=user, group=group),
        source="m.toml",
    )


def test_a_user_that_is_named_comes_first(names, root, owner):
    owner(1000, 1000)
    assert choose(make("mailsrv")) == Identity(105, 110, "mailsrv", True)
    assert choose(make("105")) == Identity(105, 110, "mailsrv", True)
    assert choose(make("4711")) == Identity(4711, 4711, "4711", True)
    assert choose(make("mailsrv", "4712")) == Identity(105, 4712, "mailsrv", True)


def test_then_the_owner_of_data_dir(names, root, owner):
    owner(1000, 1000)
    assert choose(make()) == Identity(1000, 1000, "alice", True)
    owner(4711, 4711)
    assert choose(make()) == Identity(4711, 4711, "4711", True)


def test_then_the_systems_user(names, root, owner):
    owner(0, 0)
    assert choose(make()) == Identity(105, 110, "mailsrv", True)


def test_at_last_a_number_that_belongs_to_nobody(names, root):
    del names["mailsrv"]
    identity = choose(make())
    assert (identity.uid, identity.gid, identity.drops) == (FIRST_NUMBER + 1, FIRST_NUMBER + 1, True)
    assert "adduser --system --group mailsrv && chown -R mailsrv:mailsrv /nowhere/data" in identity.notice


@pytest.mark.parametrize(
    ("user", "group", "complaint"),
    [
        ("root", "", "privileges: is root"),
        ("0", "", "privileges: is root"),
        ("mailsrv", "0", "privileges: is root"),
        ("bob", "", "privileges.user: bob does not exist; make it with `adduser"),
        ("mailsrv", "no-such-group", "privileges.group: no-such-group does not exist"),
        ("", "mail", "privileges.group: is given without"),
    ],
)
def test_what_cannot_be(names, root, user, group, complaint):
    with pytest.raises(ConfigError) as wrong:
        choose(make(user, group))
    assert wrong.value.complaints[0].startswith("m.toml: ") and complaint in wrong.value.complaints[0]


def test_who_is_not_root_stays_who_they_are(names, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    assert choose(make()) == choose(make("alice")) == Identity(1000, 1000, "alice", False)
    with pytest.raises(ConfigError, match="only root can become it"):
        choose(make("mailsrv"))
