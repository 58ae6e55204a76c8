"""`${NAME}` inside string values: replaced from the environment after the file was parsed, so that a value cannot be
syntax.

`$${` stands for a literal `${`; a `$` anywhere else is itself. What the environment gives is not looked at again.

Diagnostics: raises nothing; an undefined variable and an unfinished reference are complaints.
"""

import re
from collections.abc import Mapping
from typing import Any

from mailsrv.config.complaints import Complaints
from mailsrv.config.lines import KeyPath

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")


def is_reference(text: str) -> bool:
    """Whether a value is one `${NAME}` and nothing else: then what it stands for does not lie in the file."""
    found = _REFERENCE.fullmatch(text)
    return found is not None and found[1] is not None


def substitute(value: Any, environ: Mapping[str, str], path: KeyPath, complaints: Complaints) -> Any:
    """A parsed TOML value with the references in all strings inside it replaced; keys stay as they are."""
    if isinstance(value, str):
        return _substitute_text(value, environ, path, complaints) if "${" in value else value
    if isinstance(value, list):
        return [substitute(item, environ, (*path, index), complaints) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: substitute(item, environ, (*path, key), complaints) for key, item in value.items()}
    return value


def _substitute_text(text: str, environ: Mapping[str, str], path: KeyPath, complaints: Complaints) -> str:
    def replace(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        name = found[1]
        if name is None:
            complaints.add(path, "has ${ without a name and }, write ${NAME}, or $${ for the characters themselves")
        elif name not in environ:
            complaints.add(path, f"names the environment variable {name}, which is not defined; define it")
        else:
            return environ[name]
        return found[0]

    return _REFERENCE.sub(replace, text)
