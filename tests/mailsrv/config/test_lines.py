"""Lines: every key of any TOML text has the line that it stands on; odd text never stops the reader."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mailsrv.config.lines import KeyPath, Lines


def find(text: str, *path: str | int) -> int:
    tomllib.loads(text)
    return Lines(text).find(path)


def test_plain_keys_tables_and_arrays_of_tables() -> None:
    text = "a = 1\n\n# b = 2\n[t]\nb = 2\n[t.u]\nc = 3\n[[x]]\nn = 1\n[[x]]\n[x.sub]\nm = 1\n[[x.deep]]\nk = 1\n"
    assert find(text, "a") == 1
    assert find(text, "t") == 4
    assert find(text, "t", "b") == 5
    assert find(text, "t", "u", "c") == 7
    assert find(text, "x") == 8
    assert find(text, "x", 0, "n") == 9
    assert find(text, "x", 1) == 10
    assert find(text, "x", 1, "sub", "m") == 12
    assert find(text, "x", 1, "deep", 0, "k") == 14


def test_dotted_and_quoted_keys() -> None:
    text = 'a.b . "c d" = 1\n"a\\u0062" = 2\n\'l "x"\' = 3\n"" = 4\n"t\\tab\\U0001F600" = 5\n'
    assert find(text, "a", "b", "c d") == 1
    assert find(text, "ab") == 2
    assert find(text, 'l "x"') == 3
    assert find(text, "") == 4
    assert find(text, "t\tab\U0001f600") == 5


def test_arrays_and_inline_tables_over_several_lines() -> None:
    text = 'a = [\n  1,\n  # ] no end\n  [ 2, 3 ], { k = "}", l.m = [\n 5 ] },\n]\nz = 1979-05-27 07:32:00 # x\ny = 1\n'
    assert find(text, "a", 0) == 2
    assert find(text, "a", 1, 1) == 4
    assert find(text, "a", 2, "k") == 4
    assert find(text, "a", 2, "l", "m", 0) == 5
    assert find(text, "z") == 7
    assert find(text, "y") == 8


def test_strings_that_look_like_something_else() -> None:
    text = (
        'a = """\n[x]\ny = 1 \\""" ""\n"""\n'
        "b = '''\n'' [z]\n'''''\n"
        'c = "# \\" ] }"\n'
        "d = '\\'\n"
        'e = """x"""""\n'
        "f = 1\r\ng = 2\n"
    )
    assert [find(text, key) for key in "abcdefg"] == [1, 5, 8, 9, 10, 11, 12]
    assert find(text, "x") == 1, "what does not exist has the first line"


def test_what_is_not_in_the_text_has_the_line_of_its_table() -> None:
    text = "a = 1\n[limits]\nb = 1\n[[x]]\n[[x]]\n"
    assert find(text, "limits", "missing") == 2
    assert find(text, "x", 1, "name") == 5
    assert find(text, "nothing") == 1
    assert find(text) == 1


def test_the_reader_stops_quietly_at_what_is_no_toml() -> None:
    for text in (
        "a = 1\n= 2\nb = 3",
        "a = 1\n[x\nb",
        "a = 1\nb = [1",
        "a = 1\nb = {c",
        'a = 1\nb = "',
        "a = 1\n]]",
        "a = ",
    ):
        assert Lines(text).find(("a",)) == 1
    assert Lines("a = " + "[" * 100_000).find(("a",)) == 1


@given(st.text(alphabet="ab.=[]{}\"'\\\n ,#1", max_size=60))
def test_no_text_stops_the_reader(text: str) -> None:
    lines = Lines(text)
    assert all(1 <= lines.find(path) <= text.count("\n") + 1 for path in [*lines.paths(), ("x",)])


KEYS = st.text(alphabet='ab é"\\\n\t.', max_size=4)
VALUES = st.recursive(
    st.integers() | st.booleans() | st.text(alphabet='a"\\\n#]}é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def write(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return "[\n" + "".join(f"{write(item)}, # ]\n" for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quote(key)} = {write(item)}" for key, item in value.items()) + "}"
    return str(value)


def paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    found = {path} if path else set()
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            found |= paths_of(item, (*path, key))
    return found


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_every_path_of_any_toml_is_found(table: dict[str, Any]) -> None:
    text = "".join(f"{quote(key)} = {write(value)}\n" for key, value in table.items())
    assert tomllib.loads(text) == table
    lines = Lines(text)
    assert lines.paths() == paths_of(table)
    line = 1
    for key, value in table.items():
        assert lines.find((key,)) == line
        line += write(value).count("\n") + 1
