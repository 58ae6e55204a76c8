"""Reads structured fields back, by their grammar and for the tests alone: what was written must be what is read."""

import re

_PART = re.compile(
    r'(?P<space>[ \t]+)|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<comment>\()|(?P<atom>[^ \t()";\\]+)|(?P<semicolon>;)',
    re.DOTALL,
)


def check_lines(octets, name):
    """A field as RFC 5322 section 2 has it; gives its body on one line."""
    assert octets.endswith(b"\r\n")
    lines = octets[:-2].split(b"\r\n")
    assert all(b"\r" not in line and b"\n" not in line and len(line) <= 998 for line in lines)
    assert all(line[:1] in (b" ", b"\t") for line in lines[1:])
    assert all(line.strip() for line in lines)
    text = b"".join(lines).decode()
    assert text.startswith(f"{name}:")
    return text[len(name) + 1 :]


def read_parts(text):
    """What stands between semicolons: for each a list of ("word", text) and ("comment", text). A word keeps no quotes,
    and what touches is one word."""
    parts = [[]]
    position = 0
    touching = False
    while position < len(text):
        match = _PART.match(text, position)
        assert match, f"not in the grammar at {position}: {text!r}"
        position = match.end()
        if match["comment"]:
            comment, position = _read_comment(text, position)
            parts[-1].append(("comment", comment))
        elif match["semicolon"]:
            parts.append([])
        elif match["quoted"] or match["atom"]:
            word = match["atom"] or re.sub(r"\\(.)", r"\1", match["quoted"][1:-1], flags=re.DOTALL)
            if touching:
                word = parts[-1].pop()[1] + word
            parts[-1].append(("word", word))
        touching = bool(match["quoted"] or match["atom"])
    return parts


def _read_comment(text, position):
    depth, read = 1, []
    while depth:
        character = text[position]
        if character == "\\":
            position += 1
            read.append(text[position])
        else:
            depth += {"(": 1, ")": -1}.get(character, 0)
            read.append(character if depth else "")
        position += 1
    return "".join(read), position
