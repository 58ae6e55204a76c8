"""Listening sockets: bound by the supervisor, kept over reloads, or taken from the service manager.

A socket is known by its address: where a new configuration names the address again, the socket stays as it is, so
that no connection in its queue is lost; its kind may change. An IPv6 socket takes IPv6 alone. A unix socket of a
server that is gone is removed first, one that somebody answers on is not.

Diagnostics: Refused with one sentence for each socket that cannot be had; then none of the new ones stays open.
"""

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Iterable

from mailsrv.config.schema import DEFAULT_PORTS, ListenerConfig
from mailsrv.errors import Refused
from mailsrv.serve.worker import BoundListener

BACKLOG = 1024
# Who may write to the socket may deliver to local accounts, as on a loopback port; the directory it lies in says who
# that is.
UNIX_MODE = 0o666

Key = tuple[str, int]

_ADVICE = {
    errno.EADDRINUSE: "another program listens there (`ss -ltnp` shows it)",
    errno.EACCES: "ports below 1024 need root, CAP_NET_BIND_SERVICE or socket activation",
    errno.EADDRNOTAVAIL: "the machine does not have this address (`ip address` shows those it has)",
    errno.EAFNOSUPPORT: "the machine has no such address family",
    errno.ENOENT: "its directory does not exist",
}


def key_of(listener: ListenerConfig) -> Key:
    """What a socket is known by: IP address and port, or path and 0."""
    if listener.addr.startswith("/"):
        return listener.addr, 0
    return str(ipaddress.ip_address(listener.addr)), listener.port or DEFAULT_PORTS[listener.kind]


def name_of(listener: ListenerConfig) -> str:
    """A listener for people: `smtp 127.0.0.1:25`, `smtp [::1]:25`, `lmtp /run/lmtp`."""
    addr, port = key_of(listener)
    if not port:
        return f"{listener.kind} {addr}"
    return f"{listener.kind} [{addr}]:{port}" if ":" in addr else f"{listener.kind} {addr}:{port}"


def open_listeners(wanted: Iterable[ListenerConfig], present: Iterable[BoundListener]) -> list[BoundListener]:
    """A socket for each listener: one of `present` with its address, or a new one. Raises Refused."""
    known = {key_of(listener.config): listener for listener in present}
    opened: list[BoundListener] = []
    fresh: list[BoundListener] = []
    complaints = []
    for config in wanted:
        key = key_of(config)
        try:
            old = known.get(key)
            listener = BoundListener(old.socket, config, old.passed) if old else BoundListener(_bind(key), config)
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, "")
            text = f"cannot listen on {name_of(config)}: {error.strerror or error}"
            complaints.append(f"{text}: {advice}" if advice else text)
            continue
        opened.append(listener)
        if key not in known:
            fresh.append(listener)
    if complaints:
        close_listeners(fresh, [])
        raise Refused("\n".join(complaints))
    return opened


def close_listeners(old: Iterable[BoundListener], kept: Iterable[BoundListener]) -> None:
    """Close the sockets of `old` that are not in `kept`, and remove the names of unix sockets."""
    still = {key_of(listener.config) for listener in kept}
    for listener in old:
        key = key_of(listener.config)
        if key in still:
            continue
        if not key[1] and not listener.passed:
            _remove_name(listener.socket, key[0])
        listener.socket.close()


def adopt(descriptors: Iterable[int], wanted: Iterable[ListenerConfig]) -> tuple[list[BoundListener], list[str]]:
    """Match sockets from the service manager with the listeners by address; gives them and a sentence for each left
    over.
    """
    configs = {key_of(config): config for config in wanted}
    taken: list[BoundListener] = []
    complaints = []
    for descriptor in descriptors:
        passed = socket.socket(fileno=descriptor)
        key = _key_of_socket(passed)
        config = configs.pop(key, None)
        if config is None or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            where = f"{key[0]} port {key[1]}" if key[1] else key[0]
            complaints.append(f"the service manager passed a socket for {where}, and no listener has this address")
            passed.close()
            continue
        _prepare(passed)
        taken.append(BoundListener(passed, config, passed=True))
    return taken, complaints


def _bind(key: Key) -> socket.socket:
    addr, port = key
    family = socket.AF_UNIX if not port else socket.AF_INET6 if ":" in addr else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if not port:
            remove_stale_socket(addr)
            made.bind(addr)
            os.chmod(addr, UNIX_MODE)
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((addr, port))
        made.listen(BACKLOG)
        _prepare(made)
    except BaseException:
        made.close()
        raise
    return made


def _prepare(listening: socket.socket) -> None:
    listening.setblocking(False)
    if listening.family != socket.AF_UNIX:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _key_of_socket(listening: socket.socket) -> Key:
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return (name if isinstance(name, str) else os.fsdecode(name)), 0
    if listening.family in (socket.AF_INET, socket.AF_INET6):
        return str(ipaddress.ip_address(name[0].partition("%")[0])), name[1]
    return f"address family {listening.family}", 0


def remove_stale_socket(path: str) -> None:
    """Remove a unix socket that nobody listens on. Raises OSError when it is in use or something else than a socket."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "a file that is no socket has this name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)  # a full queue answers at once as well
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _remove_name(listening: socket.socket, path: str) -> None:
    """Remove a unix socket's name, if it is still this socket's: in Linux a name of another socket answers otherwise.
    """
    try:
        if _key_of_socket(listening) == (path, 0) and stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except OSError:
        return  # somebody else removed it, or may not be removed by this user: the next start sees that it is stale
