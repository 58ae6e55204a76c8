"""Reads ENVELOPE and BODYSTRUCTURE back, strictly by the grammar of RFC 9051 section 9 and for the tests alone."""

import re

_STRING = re.compile(rb'"((?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*)"|\{([0-9]+)\}\r\n', re.DOTALL)
_NUMBER = re.compile(rb"(?:0|[1-9][0-9]*)")


class Reader:
    """One value, read from the left; AssertionError where it breaks the grammar."""

    def __init__(self, octets):
        self.octets = octets
        self.position = 0

    def take(self, text):
        assert self.octets.startswith(text, self.position), (text, self.octets[self.position :][:80])
        self.position += len(text)

    def sees(self, text):
        return self.octets.startswith(text, self.position)

    def string(self):
        match = _STRING.match(self.octets, self.position)
        assert match is not None, self.octets[self.position :][:80]
        self.position = match.end()
        if match[2] is None:
            return re.sub(rb"\\(.)", rb"\1", match[1])
        value = self.octets[self.position : self.position + int(match[2])]
        assert len(value) == int(match[2])
        assert b"\0" not in value
        self.position += len(value)
        return value

    def nil(self):
        if self.sees(b"NIL"):
            self.position += 3
            return True
        return False

    def nstring(self):
        return None if self.nil() else self.string()

    def number(self):
        match = _NUMBER.match(self.octets, self.position)
        assert match is not None
        self.position = match.end()
        return int(match[0])

    def spaced(self, *readers):
        """Values with one space between them."""
        values = []
        for index, reader in enumerate(readers):
            if index:
                self.take(b" ")
            values.append(reader())
        return values

    def addresses(self):
        if self.nil():
            return None
        self.take(b"(")
        found = []
        while not found or self.sees(b"("):
            self.take(b"(")
            found.append(tuple(self.spaced(*[self.nstring] * 4)))
            self.take(b")")
        self.take(b")")
        return found

    def envelope(self):
        self.take(b"(")
        values = self.spaced(*[self.nstring] * 2, *[self.addresses] * 6, *[self.nstring] * 2)
        self.take(b")")
        return values

    def parameters(self):
        if self.nil():
            return None
        self.take(b"(")
        words = [self.string()]
        while self.sees(b" "):
            words += self.spaced(lambda: None, self.string)[1:]
        self.take(b")")
        assert len(words) % 2 == 0
        return list(zip(words[::2], words[1::2], strict=True))

    def disposition(self):
        if self.nil():
            return None
        self.take(b"(")
        values = self.spaced(self.string, self.parameters)
        self.take(b")")
        return values

    def language(self):
        if not self.sees(b"("):
            return self.nstring()
        self.take(b"(")
        words = [self.string()]
        while self.sees(b" "):
            self.take(b" ")
            words.append(self.string())
        self.take(b")")
        return words

    def extension(self, *first):
        """The extension data, None when there is none."""
        if not self.sees(b" "):
            return None
        self.take(b" ")
        return self.spaced(*first, self.disposition, self.language, self.nstring)

    def body(self):
        """A body as a list: bodies of a multipart first, then the fields in their order; the extension data last."""
        self.take(b"(")
        if self.sees(b"("):
            values = []
            while self.sees(b"("):
                values.append(self.body())
            self.take(b" ")
            values.append(self.string())
            values.append(self.extension(self.parameters))
        else:
            values = self.spaced(self.string, self.string, self.parameters, self.nstring, self.nstring, self.string)
            self.take(b" ")
            values.append(self.number())
            if values[0] == b"MESSAGE" and values[1] in (b"RFC822", b"GLOBAL"):
                self.take(b" ")
                values += self.spaced(self.envelope, self.body, self.number)
            elif values[0] == b"TEXT":
                self.take(b" ")
                values.append(self.number())
            values.append(self.extension(self.nstring))
        self.take(b")")
        return values


def read_envelope(octets):
    """The ten members of an envelope; addresses are tuples of four."""
    reader = Reader(octets)
    value = reader.envelope()
    assert reader.position == len(octets)
    return value


def read_body(octets):
    """A body structure, see `Reader.body`."""
    reader = Reader(octets)
    value = reader.body()
    assert reader.position == len(octets)
    return value
