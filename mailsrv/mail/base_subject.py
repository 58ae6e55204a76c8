"""The base subject: what is left of a subject without its marks of replies and forwards, for SORT and THREAD.

RFC 5256 section 2.1, its steps in one walk from both ends, in time linear in the length of the subject. Comparing
(without case) is the caller's.

Diagnostics: raises nothing.
"""

import re

from mailsrv.mail.words import decode_field

_SPACE = re.compile(r"[ \t\r\n]+")
_BLOBS = re.compile(r"(?:\[[^\[\]]*\] *)*")
_REPLY = re.compile(r"(?:re|fwd?) *(?:\[[^\[\]]*\] *)?:", re.IGNORECASE | re.ASCII)
_TRAILER = "(fwd)"
_FORWARD = "[fwd:"


def base_subject(value: bytes) -> str:
    """The base subject of the raw value of a Subject field."""
    return strip_subject(decode_field(value))


def strip_subject(subject: str) -> str:
    """The base subject of a subject whose encoded words are decoded (step 1 did that)."""
    text = _SPACE.sub(" ", subject)
    start, end = 0, len(text)
    while True:
        end = _trailers_begin(text, start, end)  # step 2
        start = _leaders_end(text, start, end)  # steps 3 to 5
        if end - start <= len(_FORWARD) or text[end - 1] != "]":
            break
        if text[start : start + len(_FORWARD)].lower() != _FORWARD:
            break
        start, end = start + len(_FORWARD), end - 1  # step 6
    return text[start:end]


def _trailers_begin(text: str, start: int, end: int) -> int:
    while end > start:
        if text[end - 1] == " ":
            end -= 1
        elif end - start >= len(_TRAILER) and text[end - len(_TRAILER) : end].lower() == _TRAILER:
            end -= len(_TRAILER)
        else:
            break
    return end


def _leaders_end(text: str, start: int, end: int) -> int:
    """Behind all leaders and blobs. A run of blobs belongs to the reply mark behind it; without one it goes too, but
    for a last blob behind which there would be nothing."""
    while start < end:
        if text[start] == " ":
            start += 1
            continue
        blobs_end = _end(_BLOBS, text, start, end)
        reply_end = _end(_REPLY, text, blobs_end, end)
        if reply_end > blobs_end:
            start = reply_end
        elif blobs_end == start:
            break
        elif blobs_end < end:
            start = blobs_end
        else:
            return text.rindex("[", start, end)
    return start


def _end(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    """Where a match at `start` ends, `start` when there is none."""
    match = pattern.match(text, start, end)
    return match.end() if match else start
