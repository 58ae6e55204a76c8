"""What is told of the result of a search or sort, and what is saved of it for `$` (RFC 9051 sections 6.4.4 and 7.3.4,
RFC 4731, RFC 5182, RFC 5267 section 3, RFC 7162 sections 3.1.5 and 3.1.10, RFC 9394 section 3).

Values in, octets out; nothing is searched here.

Diagnostics: raises nothing.
"""

from collections.abc import Sequence

from mailsrv.imap import responses
from mailsrv.imap.numbers import NumberSet
from mailsrv.imap.search_arguments import Returns


def choose(returns: Returns, found: Sequence[int]) -> Sequence[int]:
    """The UIDs that the client is told of: those that `$` means afterwards, and whose modseq counts. `found` is in the
    order of the result."""
    if returns.all or returns.count or not (returns.minimum or returns.maximum or returns.partial):
        return found
    chosen = list(returns.partial.cut(found)) if returns.partial else []
    if found and returns.minimum:
        chosen.append(found[0])
    if found and returns.maximum:
        chosen.append(found[-1])
    return sorted(set(chosen))


def make_pieces(returns: Returns, found: Sequence[int], in_order: bool, modseq: int | None) -> list[bytes]:
    """The items of ESEARCH for what was found, message numbers or UIDs; `in_order`: they ascend, which those of SORT
    need not. Nothing for a result that is only to be saved. `modseq`: the highest, where the client asked for any."""
    pieces = []
    if found and returns.minimum:
        pieces.append(b"MIN %d" % found[0])
    if found and returns.maximum:
        pieces.append(b"MAX %d" % found[-1])
    if returns.count:
        pieces.append(b"COUNT %d" % len(found))
    if returns.partial is not None:
        page = returns.partial.cut(found)
        pieces.append(b"PARTIAL (%b %b)" % (bytes(returns.partial), _make_set(page, in_order) or b"NIL"))
    if found and returns.all:
        pieces.append(b"ALL " + _make_set(found, in_order))
    if found and modseq is not None and pieces:
        pieces.append(b"MODSEQ %d" % modseq)
    return pieces


def is_told(returns: Returns) -> bool:
    """Whether there is an ESEARCH response: not for SAVE alone (RFC 9051 section 6.4.4)."""
    return returns.minimum or returns.maximum or returns.all or returns.count or returns.partial is not None


def _make_set(numbers: Sequence[int], in_order: bool) -> bytes:
    if in_order:
        return bytes(NumberSet.of_sorted(numbers))
    # The order counts: no ranges, which are read as ascending (RFC 5267 section 3.2).
    return responses.numbers(numbers)[1:].replace(b" ", b",")
