"""The process door: titles in ps, privileges that are gone for good, a daemon that has left its terminal.

Diagnostics: `drop_privileges` raises Refused when anything could be taken back or is left over: the caller must not
go on. `detach` raises Refused when the system has no process or pipe left.
"""

import codecs
import ctypes
import os
import select
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailsrv.errors import MailsrvError, Refused

_COMM_OCTETS = 15
_PIPE_OCTETS = 65536  # what a pipe takes before anybody reads
_PR_SET_NAME, _PR_SET_NO_NEW_PRIVS = 15, 38  # prctl(2)

# Fields 48 and 49 of proc(5) stat, counted from the one after the command's closing bracket, which is number 3.
_ARG_START, _ARG_END = 48 - 3, 49 - 3

_area: tuple[int, int] | None = None


def set_title(text: str) -> None:
    """Show `text` in ps: as the arguments, and its beginning (15 characters) as the command's name.

    The first call finds where the arguments lie, and must come before privileges are dropped; later ones may not.
    Where they cannot be found, they are left as they are.
    """
    # prctl and not /proc/self/comm, which belongs to root after a drop.
    ctypes.CDLL(None).prctl(_PR_SET_NAME, text.replace(": ", ":").encode("ascii", "replace")[:_COMM_OCTETS], 0, 0, 0)
    start, end = _find_arguments()
    room = end - start
    if room > 1:
        # The last octet stays NUL, or the kernel would take it for a title that runs into the environment.
        ctypes.memmove(start, text.encode("ascii", "replace")[: room - 1].ljust(room, b"\0"), room)


def _find_arguments() -> tuple[int, int]:
    """Where the kernel reads this process's arguments: two addresses, equal when unknown."""
    global _area
    if _area is None:
        try:
            with open("/proc/self/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
            with open("/proc/self/cmdline", "rb") as file:
                shown = file.read()
        except (OSError, ValueError, IndexError):
            start = end = 0
            shown = b""
        # Written to only when what lies there is what the kernel shows.
        sound = 0 < start < end and len(shown) == end - start
        _area = (start, end) if sound and ctypes.string_at(start, end - start) == shown else (0, 0)
    return _area


# What the interpreter reads from disk when it is first used: the new user may not be able to reach it there.
_LAZY_CODECS = ("ascii", "latin-1", "utf-8-sig", "punycode", "idna")


def drop_privileges(uid: int, gid: int, groups: Iterable[int] = ()) -> None:
    """Become `uid` and `gid` with no more than the supplementary `groups`, and prove that there is no way back.

    Only for root; for a process without threads. Raises Refused; the process must then end.
    """
    for name in _LAZY_CODECS:
        codecs.lookup(name)
    wanted = sorted(set(groups))
    if uid == 0 or gid == 0 or 0 in wanted:
        raise Refused("the service may not run as root: name another user in [privileges]")
    try:
        os.setgroups(wanted)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise Refused(f"cannot become user {uid}, group {gid}: {error.strerror}") from error
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid) or sorted(os.getgroups()) != wanted:
        raise Refused(f"the system did not make this process user {uid}, group {gid} alone")
    for name, regain in (("user", os.setresuid), ("group", os.setresgid)):
        try:
            regain(0, 0, 0)
        except PermissionError:
            continue
        raise Refused(f"dropped privileges could be taken back: {name} 0 was granted again")
    # Whoever takes over this process gains nothing from set-uid programs either.
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def call_as(uid: int, gid: int, function: Callable[[], None]) -> None:
    """Call `function` in a child that has become `uid` and `gid`, and wait for it. Raises Refused with what it
    raised.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            drop_privileges(uid, gid)
            function()
            code = 0
        except BaseException as error:
            text = str(error) if isinstance(error, MailsrvError) else traceback.format_exc()
            os.write(writer, text.encode("utf-8", "replace")[:_PIPE_OCTETS])
            raise
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as pipe:
        text = pipe.read().decode("utf-8", "replace")
    if os.waitpid(child, 0)[1] != 0:
        raise Refused(text or f"a process of user {uid} ended before its work was done")


@dataclass(frozen=True, slots=True)
class Told:
    """In the process that was started from the terminal: what the daemon said. `code` 0 is success."""

    code: int
    text: str


class Teller:
    """In the daemon: tells the waiting process how the start went."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def give_up_stderr(self) -> None:
        """Let go of the caller's standard error, which would else stay open as long as the daemon and its children
        live.
        """
        _silence(2)

    def tell(self, code: int, text: str) -> None:
        """Let the waiting process end with `code` after printing `text`; only the first call counts."""
        if self._descriptor < 0:
            return
        try:
            os.write(self._descriptor, f"{code} {text}\0".encode("utf-8", "replace"))
        except OSError:
            pass  # whoever waited was stopped by hand; the daemon goes on
        os.close(self._descriptor)
        self._descriptor = -1


def detach() -> Told | Teller:
    """Go on as a daemon: a process of a session of its own, without a terminal, in `/`.

    Gives a Teller in the daemon and, once that has told or died, Told in the process that called. Raises Refused.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        reader, writer = os.pipe()
        child = os.fork()
    except OSError as error:
        raise Refused(f"cannot start a process: {error.strerror}") from error
    if child:
        os.close(writer)
        said = b""
        # Not to the end of file: the daemon's own children have the other end, too.
        while not said.endswith(b"\0") and (part := os.read(reader, 65536)):
            said += part
        os.close(reader)
        os.waitpid(child, 0)
        code, _, text = said.removesuffix(b"\0").decode("utf-8", "replace").partition(" ")
        return Told(int(code), text) if code.isdigit() else Told(1, "the server ended before it was ready; see its log")
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)  # the second child leads no session, so it can never get a terminal
    os.chdir("/")
    _silence(0)
    _silence(1)
    return Teller(writer)


def _silence(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    if null != descriptor:
        os.close(null)


def wait_for_end(pid: int, seconds: float | None) -> bool:
    """Wait until a process that need not be a child has ended; False after `seconds` (None: as long as it takes)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))
    finally:
        os.close(descriptor)
