"""Nothing of the product runs what it reads: no pickle, eval or shell, no YAML that makes objects, no blind trust."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDERS = ("agent", "workers", "examples")

MODULES = {
    **dict.fromkeys(
        ["pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "joblib"],
        "runs what it reads",
    ),
    "multiprocessing": "pickles what its processes say to each other",
    "concurrent.futures.process": "pickles what its processes say to each other",
}
CALLS = {
    **dict.fromkeys(["eval", "exec", "compile", "__import__"], "runs a text"),
    **dict.fromkeys(
        ["os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"], "starts a shell"
    ),
    **dict.fromkeys(
        ["yaml.load", "yaml.load_all", "yaml.full_load", "yaml.full_load_all", "yaml.unsafe_load"],
        "may make objects: use a safe loader",
    ),
    "tempfile.mktemp": "names a file that somebody else may make first",
    "ssl._create_unverified_context": "believes every server",
}
OBJECTS = {
    **dict.fromkeys(["yaml.Loader", "yaml.CLoader", "yaml.FullLoader", "yaml.CFullLoader"], "may make objects"),
    **dict.fromkeys(["yaml.UnsafeLoader", "yaml.CUnsafeLoader"], "may make objects"),
    "ssl.CERT_NONE": "believes every server",
    "ssl.CERT_OPTIONAL": "believes servers without a certificate",
}
ARGUMENTS = {"shell": "starts a shell", "allow_pickle": "runs what it reads"}


def dangers(source: str) -> Iterator[tuple[int, str]]:
    """The line and the reason of everything dangerous in a source."""
    tree = ast.parse(source)
    names = _names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, f"{name} {why}") for name, why in _imports(node))
        elif isinstance(node, ast.Call):
            yield from _call(node, names)
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            name = _dotted(node, names)
            yield from [(node.lineno, f"{name} {OBJECTS[name]}")] if name in OBJECTS else []


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    origin = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    for alias in node.names:
        dotted = f"{origin}.{alias.name}" if origin else alias.name
        for name, why in MODULES.items():
            if dotted == name or dotted.startswith(f"{name}."):
                yield dotted, why


def _call(node: ast.Call, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    called = _dotted(node.func, names)
    if why := CALLS.get(called):
        yield node.lineno, f"{called} {why}"
    for argument in node.keywords:
        is_off = isinstance(argument.value, ast.Constant) and not argument.value.value
        if argument.arg in ARGUMENTS and not is_off:
            yield node.lineno, f"{argument.arg}= {ARGUMENTS[argument.arg]}"


def _names(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for, dotted."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
    return found


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    text = ast.unparse(node)
    first, dot, rest = text.partition(".")
    return names.get(first, first) + dot + rest


def test_nothing_of_the_product_runs_what_it_reads() -> None:
    files = chain(CHECKOUT.glob("*.py"), *((CHECKOUT / folder).rglob("*.py") for folder in FOLDERS))
    found = [
        f"{path.relative_to(CHECKOUT)}:{line} {what}"
        for path in sorted(files)
        for line, what in dangers(path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from pickle import loads",
        "import marshal as m",
        "from multiprocessing import Queue",
        "from concurrent.futures import process",
        "import shelve, json",
        "eval(text)",
        "exec(open(path).read())",
        "compile(text, path, 'exec')",
        "__import__(name)",
        "import os\nos.system(command)",
        "from os import system as run\nrun(command)",
        "import subprocess\nsubprocess.run(command, shell=True)",
        "subprocess.Popen(command, shell=is_shell)",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "from yaml import unsafe_load\nunsafe_load(text)",
        "import yaml as y\nclass Loader(y.FullLoader): ...",
        "import ssl\ncontext.verify_mode = ssl.CERT_NONE",
        "numpy.load(path, allow_pickle=True)",
        "import tempfile\npath = tempfile.mktemp()",
    ],
)
def test_a_danger_is_caught(source: str) -> None:
    assert list(dangers(source))


@pytest.mark.parametrize(
    "source",
    [
        "import json\njson.loads(text)",
        "spec.loader.exec_module(module)",
        "import re\nre.compile(pattern)",
        "cursor.execute(statement)",
        "import subprocess\nsubprocess.Popen([program, '-c', text], shell=False)",
        "import yaml\nclass Loader(yaml.CSafeLoader): ...\nLoader(text).get_single_data()",
        "import ssl\nHTTPSConnection(cert_reqs=ssl.CERT_REQUIRED)",
        "from concurrent.futures import ThreadPoolExecutor",
        "'eval and pickle are only spoken of'",
    ],
)
def test_what_only_looks_like_one_is_not(source: str) -> None:
    assert list(dangers(source)) == []
