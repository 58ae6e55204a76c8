"""The log door: one event is one line, written by one system call to standard error, syslog or a file.

What a line looks like stands in mailsrv-log(5); which events there are, in system/events.py. Several threads and
processes write to one file at once: every line is a single write to a descriptor opened with O_APPEND, so lines never
mix. Text from clients cannot make a second line or another field: what is not plain is quoted as a JSON string, and
characters that do not print are escaped. It never stops mail: when the disk is full a line is lost, and the next one
that gets through says how many were.

Diagnostics: `open_log` raises ConfigError when the file cannot be opened, `set_level` raises Refused for a word that is
no level. Writing and reopening raise nothing.
"""

import os
import re
import stat
import sys
import syslog
from collections.abc import Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Protocol

from mailsrv.errors import ConfigError, Refused
from mailsrv.system.clock import Clock
from mailsrv.system.lines import LineFile, open_for_lines

# Level -> priority of syslog(3), which journald reads as well.
LEVELS = {"debug": 7, "info": 6, "notice": 5, "warning": 4, "error": 3}

FORMATS = ("logfmt", "json")

VALUE_CHARACTERS = 512  # a longer value is cut, so that a client cannot fill the disk with one line
TRACEBACK_CHARACTERS = 3000  # with the rest of its line about what a pipe takes at once (4096)
LIST_VALUES = 50

FILE_MODE = 0o640
SYSLOG_NAME = "mailsrv"

# What needs no quotes in logfmt: printing ASCII except space, quote, equals sign and backslash.
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+").fullmatch


class Sink(Protocol):
    """Where lines go. `stamps`: whether a line must bring its own time and level."""

    stamps: bool

    def write(self, priority: int, line: bytes) -> None:
        """Write a line, given without its line end; raises OSError when it did not get through whole."""
        ...

    def reopen(self) -> None:
        """Open the file of the same name again; raises OSError and goes on with the old one when that fails."""
        ...

    def own(self, uid: int, gid: int) -> None:
        """Give the file to the user that the workers become; raises OSError."""
        ...


class FileSink:
    """Standard error or an open file; `path` is empty for standard error. `journal`: lines begin with <priority>."""

    def __init__(self, descriptor: int, path: str = "", journal: bool = False) -> None:
        self.stamps = not journal
        self._file = LineFile(descriptor)
        self._path = path
        self._prefixes = {number: f"<{number}>".encode() if journal else b"" for number in LEVELS.values()}

    def write(self, priority: int, line: bytes) -> None:
        self._file.write(self._prefixes[priority] + line)

    def reopen(self) -> None:
        if not self._path:
            return
        old = os.fstat(self._file.descriptor)
        fresh = open_for_lines(self._path, FILE_MODE)
        self._file.switch(fresh)
        self.own(old.st_uid, old.st_gid)

    def own(self, uid: int, gid: int) -> None:
        """Only what root has made just now under this very name is given away: the directory may be the service
        user's, who could put a link to any file of root's there."""
        if not self._path or os.geteuid() != 0:
            return
        opened, named = os.fstat(self._file.descriptor), os.lstat(self._path)
        is_ours = opened.st_uid == 0 and opened.st_nlink == 1 and not opened.st_size and stat.S_ISREG(named.st_mode)
        if is_ours and (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino):
            os.fchown(self._file.descriptor, uid, gid)


class SyslogSink:
    """The machine's syslog through the C library (RFC 3164 form, facility mail), which adds time, name and pid."""

    stamps = False

    def __init__(self) -> None:
        syslog.openlog(SYSLOG_NAME, syslog.LOG_PID, syslog.LOG_MAIL)

    def write(self, priority: int, line: bytes) -> None:
        syslog.syslog(priority, line.decode())

    def reopen(self) -> None:
        syslog.closelog()
        syslog.openlog(SYSLOG_NAME, syslog.LOG_PID, syslog.LOG_MAIL)

    def own(self, uid: int, gid: int) -> None:
        """Nothing to give away."""


class Log:
    """Takes events and writes those of at least its level. One per process; threads share it without a lock."""

    def __init__(self, sink: Sink, form: str, level: str, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._format = _as_json if form == "json" else _as_logfmt
        self._bound = LEVELS[level]
        self._second = (0, "")
        self._lost = 0

    def write(self, event: str, level: str, fields: Mapping[str, object]) -> None:
        """Write one event as one line; fields that are None or empty are left out. Raises nothing."""
        priority = LEVELS[level]
        if priority > self._bound:
            return
        head: dict[str, object] = {}
        if self._sink.stamps:
            head = {"time": self._time(), "level": level}
        head["event"] = event
        lost = self._lost
        if lost:
            head["lost"] = lost
        line = self._format(head, fields)
        try:
            self._sink.write(priority, line.encode())
        except OSError:
            self._lost += 1  # there is nowhere left to say so; the next line that gets through does
        else:
            if lost:
                self._lost -= lost

    def set_level(self, word: str) -> None:
        """Write events of this level and above from now on; raises Refused for a word that is none."""
        if word not in LEVELS:
            raise Refused(f"{word!r} is no log level: use one of {', '.join(LEVELS)}")
        self._bound = LEVELS[word]

    def reopen(self) -> None:
        """Open the file of the same name again (after a rotation). The supervisor goes first, then the workers."""
        try:
            self._sink.reopen()
        except OSError as error:
            self.write("storage", "error", {"path": "log", "reason": f"cannot be reopened, goes on as it is: {error}"})

    def own(self, uid: int, gid: int) -> None:
        """As root, before the workers become `uid`: give them the log file, so that they can reopen it."""
        try:
            self._sink.own(uid, gid)
        except OSError as error:
            self.write("storage", "warning", {"path": "log", "reason": f"cannot be given to user {uid}: {error}"})

    def _time(self) -> str:
        """RFC 3339 in UTC with milliseconds; the part before them is made once a second."""
        now = self._clock.now()
        second, text = self._second
        if int(now) != second:
            second = int(now)
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            self._second = (second, text)  # one assignment: threads see a matching pair
        return f"{text}{int((now - second) * 1000):03d}Z"


def open_log(destination: str, form: str, level: str, clock: Clock) -> Log:
    """The log that [log] of mailsrv.toml(5) asks for: `destination` is stderr, syslog or an absolute path.

    Raises ConfigError when the file cannot be opened.
    """
    return Log(_open_sink(destination), form, level, clock)


def _open_sink(destination: str) -> Sink:
    if destination == "stderr":
        return FileSink(2, journal=_reaches_journal())
    if destination == "syslog":
        return SyslogSink()
    try:
        return FileSink(open_for_lines(destination, FILE_MODE), destination)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([f"log.destination: {destination} cannot be opened for writing: {reason}"]) from error


def _reaches_journal() -> bool:
    """Whether standard error is the stream that systemd announced as its journal (systemd.exec(5), JOURNAL_STREAM)."""
    announced = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(sys.__stderr__.fileno() if sys.__stderr__ else 2)
    except OSError:
        return False
    return announced == f"{status.st_dev}:{status.st_ino}"


def _as_logfmt(head: dict[str, object], fields: Mapping[str, object]) -> str:
    words = [f"{name}={value}" for name, value in head.items()]
    for name, value in fields.items():
        if type(value) is int:
            words.append(f"{name}={value}")
            continue
        text = value if isinstance(value, str) else _text(name, value)
        if not text:
            continue
        if len(text) > VALUE_CHARACTERS:
            text = _text(name, value)
        words.append(f"{name}={text}" if _PLAIN(text) else f"{name}={quote(text)}")
    return " ".join(words)


def _as_json(head: dict[str, object], fields: Mapping[str, object]) -> str:
    members = [f'"{name}":{_json(name, value)}' for name, value in head.items()]
    for name, value in fields.items():
        if isinstance(value, str) and _PLAIN(value) and len(value) <= VALUE_CHARACTERS:
            members.append(f'"{name}":"{value}"')
        elif value or value == 0:
            members.append(f'"{name}":{_json(name, value)}')
    return f"{{{','.join(members)}}}"


def _json(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _text(name, value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_json(name, item) for item in value[:LIST_VALUES])}]"
    return quote(_text(name, value))


def _text(name: str, value: object) -> str:
    """A value for people: yes and no, milliseconds, lists with commas, nothing for None, nothing beyond its bound."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        value = ",".join(_text(name, item) for item in value[:LIST_VALUES])
    text = str(value)
    bound = TRACEBACK_CHARACTERS if name == "traceback" else VALUE_CHARACTERS
    return text if len(text) <= bound else text[:bound] + "..."


def quote(text: str) -> str:
    """A JSON string whose every character prints: no line ends, no terminal controls, no text running backwards."""
    quoted = encode_basestring(text)
    if not quoted.isprintable():
        quoted = "".join(c if c.isprintable() else encode_basestring_ascii(c)[1:-1] for c in quoted)
    return quoted
