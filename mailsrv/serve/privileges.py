"""As whom the workers serve: who that is, decided before anything is made on disk; nothing is dropped here.

Started as root, in this order: [privileges].user, the owner of data_dir if that is not root, the system's user
`mailsrv`, and at last a number that belongs to nobody. Started by anybody else, the workers are that user, and only
that.

Diagnostics: ConfigError when [privileges] names nobody, root, or somebody whom an unprivileged user cannot become.
"""

import grp
import os
import pwd
from dataclasses import dataclass

from mailsrv.config.schema import Config
from mailsrv.errors import ConfigError

USER = "mailsrv"
FIRST_NUMBER = 61184  # the lowest number that Debian and systemd give to no account of a person or package


@dataclass(frozen=True, slots=True)
class Identity:
    """User and group of the workers. `drops`: the supervisor is root, so they have to become it. `notice`: advice, or
    "".
    """

    uid: int
    gid: int
    name: str
    drops: bool
    notice: str = ""


def choose(config: Config) -> Identity:
    """Who serves. Raises ConfigError."""
    own = os.geteuid()
    named = _find_named(config)
    if own != 0:
        if named and named.uid != own:
            complaint = f"is {config.privileges.user}, only root can become it; start as root, or as this user"
            raise ConfigError([f"{config.source}: privileges.user: {complaint}"])
        return Identity(own, os.getegid(), _name_of(own), False)
    return named or _find_owner(config.data_dir) or _find_system_user() or _find_nobody(config.data_dir)


def _find_named(config: Config) -> Identity | None:
    user, group = config.privileges.user, config.privileges.group
    if not user:
        if group:
            complaint = "is given without privileges.user; name both or none"
            raise ConfigError([f"{config.source}: privileges.group: {complaint}"])
        return None
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        uid, gid, name = entry.pw_uid, entry.pw_gid, entry.pw_name
    except KeyError:
        if not user.isdecimal():
            raise ConfigError([_complaint(config, "user", user, "adduser --system --group")]) from None
        uid = gid = int(user)  # a number needs no name
        name = user
    if group:
        try:
            gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise ConfigError([_complaint(config, "group", group, "addgroup --system")]) from None
    if uid == 0 or gid == 0:
        raise ConfigError([f"{config.source}: privileges: is root, mail is never served as root; name another user"])
    return Identity(uid, gid, name, True)


def _complaint(config: Config, what: str, name: str, command: str) -> str:
    return f"{config.source}: privileges.{what}: {name} does not exist; make it with `{command} {name}`"


def _find_owner(data_dir: str) -> Identity | None:
    try:
        status = os.stat(data_dir)
    except OSError:
        return None
    if status.st_uid == 0 or status.st_gid == 0:
        return None
    name = _name_of(status.st_uid)
    return Identity(status.st_uid, status.st_gid, name, True)


def _find_system_user() -> Identity | None:
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        return None
    return Identity(entry.pw_uid, entry.pw_gid, USER, True) if entry.pw_uid and entry.pw_gid else None


def _find_nobody(data_dir: str) -> Identity:
    uid = FIRST_NUMBER
    while _name_of(uid) != str(uid):
        uid += 1
    notice = (
        f"there is no user {USER}, so the workers run as number {uid}; for a name of their own: "
        f"adduser --system --group {USER} && chown -R {USER}:{USER} {data_dir}"
    )
    return Identity(uid, uid, str(uid), True, notice)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
