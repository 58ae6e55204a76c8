"""Sizes: what does not fit in the reader's head is two things."""

import ast
from collections.abc import Iterator

from tests.house.source import Module, expect_none, modules, parse, report

MODULE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 6

# Functions that may take more, and why: path and name -> reason.
MANY_PARAMETERS = {
    # An event's parameters are its fields in the log; every one has a name at the call.
    "mailsrv/system/events.py": "log events are called with named fields",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_functions(module: Module) -> Iterator[tuple[Function, bool]]:
    """Every function with whether its first parameter is the object or the class it belongs to."""
    for node in ast.walk(module.tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in child.decorator_list)
                yield child, isinstance(node, ast.ClassDef) and not static


def count_parameters(function: Function, bound: bool) -> int:
    """Positional, keyword-only and starred parameters; not the object that a method is called on."""
    given = function.args
    stars = (given.vararg is not None) + (given.kwarg is not None)
    return len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) + stars - bound


def check_sizes(module: Module) -> list[str]:
    """The sizes that a module exceeds, one sentence each."""
    faults = []
    lines = module.text.count("\n")
    if lines > MODULE_LINES:
        faults.append(f"{module.path}: {lines} lines, and {MODULE_LINES} is the wall: split it")
    for function, bound in find_functions(module):
        where = f"{module.path}:{function.lineno}: {function.name}"
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > FUNCTION_LINES:
            faults.append(f"{where} has {length} lines, and {FUNCTION_LINES} is the limit: split it")
        count = count_parameters(function, bound)
        if count > PARAMETERS and module.path not in MANY_PARAMETERS:
            faults.append(f"{where} has {count} parameters, and {PARAMETERS} is the limit: make a value of them")
    return faults


def test_size() -> None:
    expect_none([fault for module in modules() for fault in check_sizes(module)])


def test_too_much_is_seen() -> None:
    text = (
        "def wide(a, b, c, d, e, f, g): ...\n"
        "class Thing:\n"
        "    def fits(self, a, b, c, *, d, e, f): ...\n"
        "    @staticmethod\n"
        "    def wide_too(a, b, c, *d, e, f, **g): ...\n"
        "def long():\n" + "    pass\n" * 60 + "# fill\n" * 340
    )
    faults = report(check_sizes(parse("mailsrv/mail/x.py", text)))
    assert "mailsrv/mail/x.py:1: wide has 7 parameters" in faults
    assert "wide_too has 7 parameters" in faults
    assert "fits" not in faults
    assert "long has 61 lines" in faults
    assert "406 lines" in faults
