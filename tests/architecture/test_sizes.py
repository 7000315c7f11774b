"""Modules and functions stay small, say what they are, and hide no error."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SUPPORT = "tests/support/"  # the one place of the tests where time may pass unused

LINES_OF_A_MODULE = 350
LINES_OF_A_FUNCTION = 45  # its docstring not counted
PICKLES = ("pickle", "shelve", "dill", "cloudpickle")

Complaints = Iterator[tuple[int, str]]
Rule = Callable[[str, str], Complaints]


def long_modules(path: str, source: str) -> Complaints:
    lines = len(source.splitlines())
    if lines > LINES_OF_A_MODULE:
        yield 1, f"{lines} lines; {LINES_OF_A_MODULE} are the most"


def long_functions(path: str, source: str) -> Complaints:
    for function in _functions(source):
        lines = _lines_without_docstring(function)
        if lines > LINES_OF_A_FUNCTION:
            yield function.lineno, f"{function.name} has {lines} lines; {LINES_OF_A_FUNCTION} are the most"


def silent_modules(path: str, source: str) -> Complaints:
    if not ast.get_docstring(ast.parse(source)):
        yield 1, "no docstring"


def untyped_functions(path: str, source: str) -> Complaints:
    for function in _functions(source):
        if function.returns is None:
            yield function.lineno, f"{function.name} does not say what it returns"


def swallowed_errors(path: str, source: str) -> Complaints:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield node.lineno, "a bare except catches what it does not know"
            elif _catches_everything(node.type) and all(_does_nothing(statement) for statement in node.body):
                yield node.lineno, "an error of any kind is dropped without a word"


def pickles(path: str, source: str) -> Complaints:
    for line, name in _imported(source):
        if name.partition(".")[0] in PICKLES:
            yield line, f"{name} runs what it reads"


def sleeping_tests(path: str, source: str) -> Complaints:
    if not path.startswith("tests/") or path.startswith(SUPPORT):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
            yield node.lineno, "a test waits for a condition, never for time"
    for line, name in _imported(source):
        if name == "time.sleep":
            yield line, "a test waits for a condition, never for time"


RULES = (
    long_modules,
    long_functions,
    silent_modules,
    untyped_functions,
    swallowed_errors,
    pickles,
    sleeping_tests,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_there_are_no(rule: Rule) -> None:
    sources = {str(path.relative_to(CHECKOUT)): path.read_text("utf-8") for path in _files()}

    found = [f"{path}:{line} {what}" for path, source in sources.items() for line, what in rule(path, source)]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (long_modules, "\n" * (LINES_OF_A_MODULE + 1)),
        (long_functions, "def f() -> None:\n" + "    f()\n" * LINES_OF_A_FUNCTION),
        (long_functions, "class A:\n    async def f() -> None:\n" + "        f()\n" * LINES_OF_A_FUNCTION),
        (silent_modules, "x = 1"),
        (untyped_functions, "class A:\n    def __init__(self): ..."),
        (swallowed_errors, "try:\n    f()\nexcept:\n    raise"),
        (swallowed_errors, "try:\n    f()\nexcept Exception:\n    pass"),
        (swallowed_errors, "while x:\n    try:\n        f()\n    except (OSError, Exception):\n        continue"),
        (pickles, "def f() -> None:\n    from pickle import loads"),
        (pickles, "import pickle as p"),
        (sleeping_tests, "import time\ntime.sleep(1)"),
        (sleeping_tests, "from time import sleep"),
    ],
)
def test_a_source_that_breaks_a_rule_is_caught(rule: Rule, source: str) -> None:
    assert list(rule("tests/unit/test_it.py", source))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (long_modules, "\n" * LINES_OF_A_MODULE),
        (long_functions, "def f() -> None:\n" + '    """' + "Why.\n" * 99 + '    """\n' + "    f()\n" * 44),
        (swallowed_errors, "try:\n    f()\nexcept Exception as error:\n    log(error)"),
        (swallowed_errors, "try:\n    f()\nexcept FileNotFoundError:\n    pass"),
    ],
)
def test_a_source_just_within_a_rule_is_not(rule: Rule, source: str) -> None:
    assert list(rule("agent/it.py", source)) == []


def _files() -> list[Path]:
    folders = ("agent", "workers", "tests", "examples", "benchmarks")
    return sorted(chain(CHECKOUT.glob("*.py"), *((CHECKOUT / folder).rglob("*.py") for folder in folders)))


def _functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _lines_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def _catches_everything(caught: ast.expr) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds)


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass | ast.Continue) or ast.unparse(statement) == "..."


def _imported(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
