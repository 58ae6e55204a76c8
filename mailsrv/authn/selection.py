"""Which fields of a message a signature covers, and their hash (RFC 6376 sections 3.4, 3.7 and 5.4.2).

Of several fields with one name the last counts first; a name in h= beyond the fields there are stands for nothing, so
that a field added later breaks the signature. Canonical forms are made once for all signatures of a message.

Diagnostics: raises nothing.
"""

import hashlib
from collections.abc import Iterator, Sequence

from mailsrv.mail.header import Header
from mailsrv.authn.canonical import Form, relax_field
from mailsrv.authn.signature import Signature

# What a message has once at most (RFC 5322 section 3.6, RFC 2045 section 3), with the names that people know: readers
# show one of two, and not always the one that is signed (RFC 6376 section 8.15).
SINGLE = {
    name.lower().encode(): name
    for name in (
        "From",
        "Sender",
        "Reply-To",
        "To",
        "Cc",
        "Bcc",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Subject",
        "Date",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    )
}


class FieldTable:
    """The fields of one message by name, as they stand and, once needed, in relaxed form. Not for several threads."""

    __slots__ = ("_raw", "_relaxed", "_hashed")

    def __init__(self, header: Header) -> None:
        self._raw: dict[bytes, list[bytes]] = {}
        for name, field in header.raw_fields():
            self._raw.setdefault(name, []).append(field)
        self._relaxed: dict[bytes, list[bytes]] = {}
        # Signatures of one sender list the same fields.
        self._hashed: dict[tuple[Form, tuple[bytes, ...]], hashlib._Hash] = {}

    def named(self, name: bytes) -> Sequence[bytes]:
        """All fields of a name (lower case) as they stand, from the top."""
        return self._raw.get(name, ())

    def digest(self, signature: Signature, number: int) -> bytes:
        """What b= signs: SHA-256 of the fields that h= lists and of the signature's own, which is the one of `number`
        (from 0, from the top) of its name and is never among those of h= (section 3.5).
        """
        key = signature.header_form, signature.names
        hashed = self._hashed.get(key)
        if hashed is None:
            hashed = hashlib.sha256(b"".join(self._select(signature, number)))
            if signature.field not in signature.names:
                self._hashed[key] = hashed
        hashed = hashed.copy()
        hashed.update(signature.canonical)
        return hashed.digest()

    def _select(self, signature: Signature, number: int) -> Iterator[bytes]:
        form = self._as_it_stands if signature.header_form is Form.SIMPLE else self._relax
        left: dict[bytes, list[bytes]] = {}
        for name in signature.names:
            if name not in left:
                left[name] = form(name).copy()
                if name == signature.field:
                    del left[name][number]
            if left[name]:
                yield left[name].pop()

    def find_half_signed(self, signature: Signature) -> str:
        """A complaint if a field that should be there once is there more often and not signed each time, else ""."""
        for name, known in SINGLE.items():
            count = len(self._raw.get(name, ()))
            if count > 1 and 0 < (covered := signature.names.count(name)) < count:
                return f"covers {covered} of {count} {known} fields"
        return ""

    def _as_it_stands(self, name: bytes) -> list[bytes]:
        return self._raw.get(name, [])

    def _relax(self, name: bytes) -> list[bytes]:
        if name not in self._relaxed:
            self._relaxed[name] = [relax_field(name, field) for field in self._raw.get(name, ())]
        return self._relaxed[name]
