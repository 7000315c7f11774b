"""Imports go down only, siblings leave each other alone, and each third-party package has its place."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

LAYERS = (  # from top to bottom
    ("benchmarks", "campaign"),
    ("enhanced_automation_agent",),
    ("supervisor",),
    ("workers",),
    ("agent.cli", "agent.dashboard"),
    ("agent.client", "agent.steering"),
    ("agent.overview",),
    ("agent.governance", "agent.escalation", "agent.telemetry", "agent.maintenance"),
    ("agent.store",),
    ("agent.api", "agent.config", "agent.degraded", "agent.loader", "agent.new_tasks"),
    ("agent.handlers", "agent.payload", "agent.retry", "agent.host", "agent.doorbell", "agent.systemd"),
    ("agent.outbox", "agent.task", "agent.duration", "agent.failpoints", "agent.handler_functions"),
    ("agent.errors", "agent.lifecycle", "agent.clock", "agent.private", "agent.secrecy", "agent.trust"),
)
OURS = ("benchmarks", "campaign", "enhanced_automation_agent", "supervisor", "workers", "agent")

PLACES = {  # third-party package: where it may be imported
    "apsw": ("agent.store", "benchmarks", "campaign"),
    "click": ("agent.cli",),
    "msgspec": OURS,
    "psutil": ("agent.telemetry.sensors", "workers", "benchmarks"),
    "rich": ("agent.cli",),
    "setproctitle": ("supervisor", "workers"),
    "structlog": OURS,
    "tenacity": ("agent.retry", "agent.escalation"),
    "urllib3": ("agent.escalation",),
    "yaml": ("agent.config",),
}
PEERS = ("celery", "dbos", "dramatiq", "huey", "procrastinate", "redis", "rq", "saq")
PEERS_PLACE = ("benchmarks.apps",)  # no peer is required: only a program of its own may import one
LAZY = ("rich", "structlog")  # costs more to import than most commands take
LOGS = "agent.telemetry.logs"  # imports structlog leanly and sets it up; everybody else only gets a logger, when needed
DISTRIBUTIONS = {"yaml": "pyyaml"}  # where the name in requirements.txt is another


class Import(NamedTuple):
    """One name that a module imports: where, what, and whether importing the module imports it."""

    line: int
    target: str
    eager: bool


def test_every_import_goes_down_a_layer() -> None:
    found = [complaint for name, source in modules().items() for complaint in climbs(name, source)]

    assert not found, "\n".join(found)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(modules()) == []


def test_third_party_packages_are_imported_only_in_their_places() -> None:
    found = [complaint for name, source in modules().items() for complaint in strays(name, source)]

    assert not found, "\n".join(found)


def test_every_module_belongs_to_a_layer() -> None:
    found = [name for name in modules() if name != "agent" and layer_of(name) is None]

    assert not found, "\n".join(found)


def test_the_requirements_are_the_packages_that_have_a_place() -> None:
    lines = (CHECKOUT / "requirements.txt").read_text("utf-8").splitlines()
    required = {re.split(r"[^\w-]", line)[0] for line in lines if line and not line.startswith("#")}

    assert required == {DISTRIBUTIONS.get(name, name) for name in PLACES}


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("agent.store.sqlite", "from workers.pool import WorkerPool", "agent.store.sqlite:1 imports workers.pool"),
        ("agent.store.sqlite", "from workers import pool", "agent.store.sqlite:1 imports workers"),
        ("agent.store.sqlite", "def f() -> None:\n    import supervisor", "agent.store.sqlite:2 imports supervisor"),
        ("agent.telemetry.logs", "import agent.governance.state", "agent.telemetry.logs:1 imports agent.governance"),
        ("agent.retry", "from agent import config", "agent.retry:1 imports agent.config"),
        ("agent.store.sqlite", "from ..cli import main", "agent.store.sqlite:1 imports agent.cli"),
        ("agent", "from agent.errors import AgentError", "agent:1 imports agent.errors"),
        ("workers.pool", "from tests.support import waiting", "workers.pool:1 imports tests.support"),
        ("supervisor", "from benchmarks import scene", "supervisor:1 imports benchmarks.scene"),
    ],
)
def test_an_import_that_climbs_is_caught(module: str, source: str, complaint: str) -> None:
    assert [found for found in climbs(module, source) if found.startswith(complaint)]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("supervisor", "from workers.pool import WorkerPool\nfrom agent.errors import AgentError"),
        ("agent.store.sqlite", "from agent.store.queries import QUERIES\nfrom . import queries\nimport json"),
    ],
)
def test_an_import_that_goes_down_or_stays_inside_is_not(module: str, source: str) -> None:
    assert list(climbs(module, source)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("workers.pool", "import apsw"),
        ("agent.host", "from psutil import Process"),
        ("agent.cli.output", "from rich.table import Table"),
        ("agent.cli.output", "import requests"),
        ("workers.pool", "from structlog import configure"),
        ("workers.pool", "import structlog"),
        ("workers.pool", "def f() -> None:\n    import structlog\n    structlog.configure()"),
        ("benchmarks.peers", "def f() -> None:\n    import huey"),
        ("agent.store.sqlite", "import redis"),
    ],
)
def test_a_package_out_of_its_place_is_caught(module: str, source: str) -> None:
    assert len(list(strays(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("agent.store.connection", "import apsw.ext"),
        ("agent.cli.output", "def show() -> None:\n    from rich.table import Table"),
        ("agent.cli.output", "if TYPE_CHECKING:\n    from rich.table import Table"),
        ("workers.pool", "def f() -> None:\n    import structlog\n    structlog.get_logger()"),
        (LOGS, "import structlog\nstructlog.configure()"),
        ("benchmarks.apps.huey_app", "from huey import SqliteHuey"),
    ],
)
def test_a_package_in_its_place_is_not(module: str, source: str) -> None:
    assert list(strays(module, source)) == []


def test_a_circle_is_caught() -> None:
    sources = {
        "workers.a": "import workers.b",
        "workers.b": "def f() -> None:\n    from workers import c",
        "workers.c": "from workers.a import f",
    }

    assert set(circle(sources)) == {"workers.a", "workers.b", "workers.c"}


def modules() -> dict[str, str]:
    """The source of every module of the product and its benchmarks, by its import name."""
    files = sorted(CHECKOUT.glob("*.py"))
    for package in ("agent", "workers", "benchmarks"):
        files += sorted((CHECKOUT / package).rglob("*.py"))
    return {_name(path): path.read_text("utf-8") for path in files}


def climbs(module: str, source: str) -> Iterator[str]:
    """A complaint for each import of ours that does not go down."""
    own = layer_of(module)
    for found in imports(module, source):
        if found.target.partition(".")[0] not in (*OURS, "tests"):
            continue
        other = layer_of(found.target)
        if own is None or other is None or (other[0] <= own[0] and other != own):
            yield f"{module}:{found.line} imports {found.target}, which is not below it"


def strays(module: str, source: str) -> Iterator[str]:
    """A complaint for each third-party import out of its place."""
    for found in imports(module, source):
        package = found.target.partition(".")[0]
        if package in (*OURS, "tests") or package in sys.stdlib_module_names:
            continue
        places = PEERS_PLACE if package in PEERS else PLACES.get(package, ())
        if not any(_is_within(module, place) for place in places):
            yield f"{module}:{found.line} imports {package}, whose place is {places or 'not in the table'}"
        elif package in LAZY and found.eager and module != LOGS:
            yield f"{module}:{found.line} imports {package} before it is needed"
        elif found.target.startswith("structlog.") and module != LOGS and found.target != "structlog.get_logger":
            yield f"{module}:{found.line} imports {found.target}, which is for {LOGS} to use"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "structlog" and module != LOGS:
            yield from _beyond_a_logger(module, node)


def circle(sources: Mapping[str, str]) -> list[str]:
    """The modules of one circle of imports, lazy ones included; none: an empty list."""
    graph = {
        name: {_module(found.target, sources) for found in imports(name, source)} - {name}
        for name, source in sources.items()
    }
    try:
        TopologicalSorter({name: targets & set(sources) for name, targets in graph.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def imports(module: str, source: str) -> Iterator[Import]:
    """Every import of a source, wherever it stands; `from a import b` gives a.b."""
    yield from _imports(module, ast.parse(source), eager=True)


def layer_of(module: str) -> tuple[int, str] | None:
    """The number and the name of the entry in `LAYERS` that the module belongs to."""
    for number, entries in enumerate(LAYERS):
        for entry in entries:
            if _is_within(module, entry):
                return number, entry
    return None


def _imports(module: str, node: ast.AST, eager: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(child.lineno, alias.name, eager) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            origin = _origin(module, child)
            yield from (Import(child.lineno, f"{origin}.{alias.name}", eager) for alias in child.names)
        else:
            yield from _imports(module, child, eager and not _is_put_off(child))


def _is_put_off(node: ast.AST) -> bool:
    """Whether importing the module leaves the body of the node aside."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _origin(module: str, node: ast.ImportFrom) -> str:
    """What stands between `from` and `import`, dots resolved."""
    if not node.level:
        return node.module or ""
    is_package = (CHECKOUT / module.replace(".", "/")).is_dir()
    parts = module.split(".")
    package = parts[: len(parts) - node.level + is_package]
    return ".".join([*package, *filter(None, [node.module])])


def _beyond_a_logger(module: str, node: ast.Attribute) -> Iterator[str]:
    if node.attr != "get_logger":
        yield f"{module}:{node.lineno} uses structlog.{node.attr}, which is for {LOGS} to use"


def _module(target: str, sources: Mapping[str, str]) -> str:
    """The module that an imported name is, or is defined in."""
    return target if target in sources else target.rpartition(".")[0]


def _name(path: Path) -> str:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_within(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")
