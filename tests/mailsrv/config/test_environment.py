"""References to the environment: inside string values only, once, and every undefined one is named."""

from typing import Any

import pytest

from mailsrv.config.complaints import Complaints
from mailsrv.config.environment import is_reference, substitute
from mailsrv.config.lines import Lines

ENVIRON = {"A": "1", "LONG_NAME": "${A}", "EMPTY": ""}


def run(value: Any) -> tuple[Any, list[str]]:
    complaints = Complaints("f", Lines(""))
    return substitute(value, ENVIRON, ("k",), complaints), complaints.faults


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${A}", "1"),
        ("x${A}y${A}", "x1y1"),
        ("${LONG_NAME}", "${A}"),
        ("${EMPTY}", ""),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A $ {A} $", "$A $ {A} $"),
        ("$argon2id$v=19$m=1", "$argon2id$v=19$m=1"),
    ],
)
def test_replaced(text: str, result: str) -> None:
    assert run(text) == (result, [])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("${B}", "names the environment variable B, which is not defined"),
        ("${}", "write ${NAME}, or $${"),
        ("${A", "write ${NAME}, or $${"),
        ("${9}", "write ${NAME}, or $${"),
        ("${A-x}", "write ${NAME}, or $${"),
    ],
)
def test_complained_about(text: str, part: str) -> None:
    _, faults = run(text)
    assert len(faults) == 1
    assert part in faults[0]


def test_inside_arrays_and_tables_but_not_in_keys() -> None:
    value = {"${A}": ["${A}", 5, {"x": "${A}", "y": True}]}
    assert run(value) == ({"${A}": ["1", 5, {"x": "1", "y": True}]}, [])


def test_only_a_whole_reference_keeps_a_secret_out_of_the_file() -> None:
    assert is_reference("${A}")
    assert not any(map(is_reference, ("", "x${A}", "${A}x", "$${", "${", "${A}${A}")))
