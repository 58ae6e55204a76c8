"""A message as filters are shown it."""

from mailsrv.receive.filter import FilterMessage
from mailsrv.system.scratch import MemoryBudget, Octets, Scratch

from tests.fakes.disk import FakeDisk

PREFIX = b"Received: by here.example\r\n"
MESSAGE = b"From: from@example.org\r\nSubject: a\r\n\tfold\r\n\r\nbody\r\n"


def new_message(octets=MESSAGE, prefix=PREFIX, **more):
    """With `octets` in memory up to 1 MiB, beyond that in a file."""
    scratch = Scratch(FakeDisk(), "/", 1 << 20, MemoryBudget(1 << 22))
    for at in range(0, len(octets), 100_000):
        scratch.write(octets[at : at + 100_000])
    given = {
        "id": "4xyz",
        "client": "192.0.2.1",
        "client_name": "mx.example",
        "helo": "helo.example",
        "hostname": "here.example",
        "account": "",
        "reverse_path": "from@example.org",
        "recipients": ("a@here.example", "b@here.example"),
        "tls": "",
        "octets": Octets(prefix, scratch),
    }
    return FilterMessage(**{**given, **more})
