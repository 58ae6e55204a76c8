"""HTML as text: without its markup, by rules that a browser's reader would guess at; nothing is rendered.

Whole texts, or pieces of any length one after the other: those of a large part are stripped as they are decoded, so
that neither its size nor one long search through it is ever in memory or in the way of other threads.

Diagnostics: raises nothing.
"""

import re
from collections.abc import Iterable, Iterator
from html import unescape

PIECE = 1 << 18  # characters that are stripped at a time

# Elements whose content is not text for a reader, and what ends it.
_HIDDEN = {
    name: re.compile(pattern, re.IGNORECASE | re.ASCII)
    for name, pattern in {
        "head": r"</head\b|<body\b",
        "noscript": r"</noscript\b",
        "script": r"</script\b",
        "style": r"</style\b",
        "svg": r"</svg\b",
        "template": r"</template\b",
        "title": r"</title\b",
    }.items()
}
_HIDING = re.compile(rf"<(?:!--|({'|'.join(_HIDDEN)})\b[^<>]*+>?)", re.IGNORECASE | re.ASCII)
_COMMENT_END = re.compile("-->")
# Tags of elements that may begin within a word, then all tags.
_INLINE = re.compile(
    r"</?(?:a|abbr|b|big|code|em|font|i|s|small|span|strike|strong|sub|sup|u|wbr)\b[^<>]*+>?", re.IGNORECASE | re.ASCII
)
_TAG = re.compile(r"<[/!?A-Za-z][^<>]*+>?")
_UNENDED_TAG = re.compile(r"<[/!?A-Za-z][^<>]*+\Z")
_TAG_BEGINS = 64  # characters of a tag that tell which one it is
# No character has such a number, and Python refuses to read one of some thousand digits.
_ENDLESS_REFERENCE = re.compile(r"&#(?:[0-9]{20,}+|[xX][0-9a-fA-F]{20,}+);?")


def strip_markup(html: str) -> str:
    """The text of HTML: without tags, comments and what is not shown, with character references resolved."""
    return strip_tags(strip_hidden(html))


def strip_tags(html: str) -> str:
    """HTML without tags, with character references resolved."""
    text = _TAG.sub(" ", _INLINE.sub("", html))
    if "&#" in text:
        text = _ENDLESS_REFERENCE.sub("\ufffd", text)
    return unescape(text)


def strip_hidden(html: str) -> str:
    """HTML without comments and without the elements that are not shown; what is not ended hides all that follows."""
    return _strip_hidden(html, None)[0]


def strip_pieces(texts: Iterable[str], size: int = PIECE) -> Iterator[str]:
    """What `strip_markup` gives for all texts together, but for its space perhaps, in pieces made of about `size`
    characters. A piece ends before a tag, where there is one."""
    rest = ""
    ending = None
    for text in texts:
        rest += text
        if len(rest) < size:
            continue
        cut = _find_cut(rest, ending is not None)
        shown, ending = _strip_hidden(rest[:cut], ending)
        if shown:
            yield strip_tags(shown)
        rest = rest[cut:] if cut else rest[:_TAG_BEGINS]
    shown, _ = _strip_hidden(rest, ending)
    if shown:
        yield strip_tags(shown)


def _find_cut(html: str, hidden: bool) -> int:
    """How much of the beginning of HTML can be stripped before its continuation is known; 0: it is one tag that has no
    end yet, of which its beginning tells enough. `hidden`: it begins where nothing is shown."""
    cut = html.rfind("<")
    if cut > 0:
        return cut
    if hidden or html.startswith("<!--"):
        end = html.find("-->", len(html) - 4)
        return end + 3 if end >= 0 else len(html) - 2  # "-->" may have begun
    if _UNENDED_TAG.match(html):
        return 0
    # The text after one tag, or without any.
    cut = max(html.rfind(" "), html.rfind("\n"))
    return cut if cut > html.find(">") else len(html)


def _strip_hidden(html: str, ending: re.Pattern[str] | None) -> tuple[str, re.Pattern[str] | None]:
    """What is shown of HTML that begins where nothing is shown before `ending`; and what ends the part that is hidden
    at its end, None where there is none."""
    found = [] if ending is None else [""]
    position = 0
    while True:
        if ending is not None:
            match = ending.search(html, position)
            if match is None:
                return " ".join(found), ending
            position = match.end() if ending is _COMMENT_END else match.start()
            ending = None
        match = _HIDING.search(html, position)
        if match is None:
            found.append(html[position:])
            return " ".join(found), None
        found.append(html[position : match.start()])
        position = match.end()
        if match[1] is None:
            ending = _COMMENT_END
        elif not match[0].endswith("/>"):
            ending = _HIDDEN[match[1].lower()]
