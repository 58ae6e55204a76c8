"""The words of reports: files of sections in UTF-8, one per language, shipped with the package and changed by the
operator's own.

A section comes from the first of these that has it whole: the operator's LANG.txt, the shipped LANG.txt, the shipped
en.txt. Format: `[name]` on a line of its own begins a section; a line that begins with `#` is a comment; empty lines
around a section's text are not part of it; `{word}` is filled in, `{{` and `}}` stand for braces. SECTIONS says which
sections there are and which words each may use. What is wrong in a file costs the section, never a report.

Diagnostics: `load_templates` raises nothing and returns its complaints, one line each, with file and line where there
is one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailsrv.errors import StorageError
from mailsrv.system.disk import Missing

# Read when the program starts: the runner's user may not be able to reach the package's files.
_SHIPPED = {file.stem: file.read_bytes() for file in (Path(__file__).parent / "templates").glob("*.txt")}

FALLBACK = "en"
MAX_FILE = 256 << 10  # octets of a file that are read

CAUSES = (
    "unknown-address", "moved", "disabled", "no-domain", "no-mail", "bad-sender", "full-mailbox", "too-large",
    "blocked", "sender-authentication", "tls", "dns", "unreachable", "busy", "content", "conversion",
    "international-address", "loop", "too-many-recipients", "protocol", "cancelled", "here", "other",
)  # fmt: skip

_LETTER = frozenset({"hostname", "postmaster", "id", "subject", "sent", "recipients", "attached", "waited", "until"})
_NONE: frozenset[str] = frozenset()
_COUNT = frozenset({"count"})

# Every section, and the words that it may use.
SECTIONS: Mapping[str, frozenset[str]] = {
    "author": frozenset({"hostname"}),
    **{f"subject.{kind}.one": frozenset({"recipient"}) for kind in ("failed", "delayed", "succeeded")},
    **{f"subject.{kind}.many": _COUNT for kind in ("failed", "delayed", "succeeded")},
    **dict.fromkeys(("failed", "delayed", "succeeded"), _LETTER),
    **dict.fromkeys(("attached.header", "attached.message", "no-subject"), _NONE),
    "more": _COUNT,
    "said.host": frozenset({"host"}),
    "said.about": frozenset({"host"}),
    "said.here": _NONE,
    "gave-up": frozenset({"waited"}),
    "duration.minute": _NONE,
    **dict.fromkeys(("duration.minutes", "duration.hours", "duration.days"), _COUNT),
    **dict.fromkeys(("delivered", "relayed", "expanded"), _NONE),
    **{f"cause.{cause}": _NONE for cause in CAUSES},
    **{f"advice.{cause}": _NONE for cause in CAUSES},
}
# Words without which a section is of no use.
_NEEDED = dict.fromkeys(("failed", "delayed", "succeeded"), "recipients")

_HEADING = re.compile(r"\[([^\[\]]*)\][ \t]*")
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")
_LANGUAGE = re.compile("[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_LITERAL = {"{{": "{", "}}": "}"}


@dataclass(frozen=True, slots=True)
class Templates:
    """The words of one language, complete. `sections`: name -> text that is known to be well-formed."""

    language: str
    sections: Mapping[str, str]

    def fill(self, section: str, **words: object) -> str:
        """A section with its words filled in; a word that this use does not have becomes empty."""
        return _BRACES.sub(lambda m: _LITERAL.get(m[0]) or str(words.get(m[1], "")), self.sections[section])


def load_templates(
    languages: Sequence[str], directory: str = "", read: Callable[[str, int], bytes] | None = None
) -> tuple[tuple[Templates, ...], list[str]]:
    """The words of each language, in this order and at least of one, and what is wrong with the operator's files in
    `directory`, which `read(path, limit)` reads (Disk.read)."""
    complaints: list[str] = []
    found = []
    english = read_sections(shipped(FALLBACK), "en.txt", complaints)
    for language in dict.fromkeys(languages):
        if not _LANGUAGE.fullmatch(language):
            complaints.append(f"{language!r} is not the tag of a language, such as en or de")
            continue
        own: dict[str, str] = {}
        path = f"{directory or 'template_dir'}/{language}.txt"
        if directory and read is not None:
            own = read_sections(_read_own(read, path, complaints), path, complaints)
        known = english if language == FALLBACK else read_sections(shipped(language), f"{language}.txt", complaints)
        missing = SECTIONS.keys() - own.keys() - known.keys()
        if len(missing) == len(SECTIONS):
            complaints.append(f"there are no texts in the language {language}: write {path}")
            continue
        if missing:
            complaints.append(f"{path}: in English for want of a section: {', '.join(sorted(missing))}")
        found.append(Templates(language, {**english, **known, **own}))
    return tuple(found) or (Templates(FALLBACK, english),), complaints


def shipped(language: str) -> bytes:
    """The file that comes with the package, b"" when there is none in this language."""
    return _SHIPPED.get(language, b"")


def read_sections(octets: bytes, name: str, complaints: list[str]) -> dict[str, str]:
    """The well-formed sections of a file; what is wrong with the others goes to `complaints`."""
    try:
        text = octets.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        complaints.append(f"{name}:{line}: not UTF-8; the file is not used")
        return {}
    sections: dict[str, str] = {}
    for heading, number, lines in _split(text, name, complaints):
        content = "\n".join(lines).strip("\n")
        fault = _find_fault(heading, content)
        if fault or heading in sections:
            complaints.append(f"{name}:{number}: [{heading}]: {fault or 'stands here twice, the first one is used'}")
        else:
            sections[heading] = content
    return sections


def _split(text: str, name: str, complaints: list[str]) -> list[tuple[str, int, list[str]]]:
    """The sections as (heading, its line, lines)."""
    found: list[tuple[str, int, list[str]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#"):
            continue
        heading = _HEADING.fullmatch(line)
        if heading:
            found.append((heading[1], number, []))
        elif found:
            found[-1][2].append(line.rstrip())
        elif line.strip():
            complaints.append(f"{name}:{number}: this text stands before the first [section]")
    return found


def _find_fault(heading: str, content: str) -> str:
    """What is wrong with a section, "" when nothing is."""
    allowed = SECTIONS.get(heading)
    if allowed is None:
        return "there is no such section"
    if not content.strip():
        return "is empty"
    used = set()
    for match in _BRACES.finditer(content):
        if match[1] is not None:
            used.add(match[1])
        elif match[0] not in _LITERAL:
            return f"a {match[0]} stands alone: write {match[0] * 2}"
    unknown = used - allowed
    if unknown:
        return f"{{{min(unknown)}}} is not known here, only {', '.join(sorted(allowed)) or 'plain text'}"
    needed = _NEEDED.get(heading)
    return f"{{{needed}}} is missing" if needed and needed not in used else ""


def _read_own(read: Callable[[str, int], bytes], path: str, complaints: list[str]) -> bytes:
    """The operator's file; none is no fault."""
    try:
        return read(path, MAX_FILE)
    except Missing:
        return b""
    except StorageError as error:
        complaints.append(str(error))
        return b""
