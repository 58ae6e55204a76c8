"""The door to the service manager: what sd_notify(3) and sd_listen_fds(3) say, spoken without their library.

Diagnostics: raises nothing; without a service manager nothing happens.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping

FIRST_DESCRIPTOR = 3


class Notifier:
    """Tells the service manager how the service is. `environ` may name its socket in NOTIFY_SOCKET."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        if path.startswith("@"):
            self._address = f"\0{path[1:]}"  # the abstract namespace of unix(7)
        else:
            self._address = path if path.startswith("/") else ""

    def send(self, **values: object) -> None:
        """Send variables as one datagram: send(READY=1, STATUS="serving")."""
        if not self._address:
            return
        text = "\n".join(f"{name}={str(value).replace(chr(10), ' ')}" for name, value in values.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.sendto(text.encode(), self._address)
            except OSError:
                return  # a manager that does not listen does not stop mail


def take_descriptors(environ: MutableMapping[str, str], pid: int) -> list[int]:
    """Descriptors of sockets that the service manager opened for process `pid`; the variables are removed, so that no
    child takes them for its own. Empty without socket activation.
    """
    count, for_pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if not count.isdigit() or for_pid != str(pid):
        return []
    descriptors = list(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return descriptors
