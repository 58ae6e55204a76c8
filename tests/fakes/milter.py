"""A milter on loopback that answers what a test says, and records what it is told. Written against the protocol and not
with the code that is tested.

    with FakeMilter({"E": [add("X-Spam", "Yes"), b"c"]}) as milter:
        ... scan with FilterConfig(milter=milter.where) ...
        milter.told    # [("O", ...), ("D", ...), ("C", ...), ...]

`answers` maps a command's letter to what follows it, as packets without their length, or to a function that gets the
server and the connection; a list of lists is used up one by one. A command without an entry is answered "continue".
`steps` are the protocol flags it asks for, by which some commands are not answered.
"""

import struct

from tests.fakes.service import FakeService, read_exactly

SILENT = {"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "L": 0x80, "N": 0x40000, "B": 0x80000}


class FakeMilter(FakeService):
    def __init__(self, answers=None, steps=0, version=6, path=""):
        self.answers = dict(answers or {})
        self.steps = steps
        self.version = version
        self.told = []
        self._path = path
        super().__init__(path)

    @property
    def where(self):
        return f"unix:{self._path}" if self._path else f"inet:127.0.0.1:{self.port}"

    def serve(self, connection):
        self.answers.setdefault("O", [b"O" + struct.pack(">III", self.version, 0x21, self.steps)])
        while True:
            (length,) = struct.unpack(">I", read_exactly(connection, 4))
            packet = read_exactly(connection, length)
            letter = packet[:1].decode("latin-1")
            self.told.append((letter, packet[1:]))
            if letter == "Q":
                return
            if letter == "D":
                continue
            answer = self.answers.get(letter, [b"c"])
            if callable(answer):
                answer(self, connection)
                continue
            if answer and isinstance(answer[0], list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if not self.steps & SILENT.get(letter, 0):
                connection.sendall(b"".join(pack(one) for one in answer))

    def said(self, letter):
        """The data of each packet of a kind."""
        return [data for kind, data in self.told if kind == letter]

    @property
    def order(self):
        """The letters of what it was told, without macros."""
        return "".join(kind for kind, _ in self.told if kind != "D")

    def macros(self, letter):
        """The macros before a command, as a dict."""
        found = {}
        for data in self.said("D"):
            if data[:1].decode() == letter:
                words = data[1:].decode().split("\0")[:-1]
                found.update(zip(words[::2], words[1::2], strict=True))
        return found


def pack(packet):
    return struct.pack(">I", len(packet)) + packet


def add(name, value):
    return b"h" + name.encode() + b"\0" + value.encode() + b"\0"


def insert(place, name, value):
    return b"i" + struct.pack(">I", place) + name.encode() + b"\0" + value.encode() + b"\0"
