"""Finding the user's handlers, and telling his mistakes from ours; with real files and imports."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import get_type_hints

import pytest

from agent.errors import HandlersError
from agent.handlers import DECORATED
from agent.loader import ROOT, load_handlers, options_as_json

AGENT = """
from agent.handlers import Registry, handler

class Agent:
    def __init__(self):
        self.registry = Registry()
"""

FIRST = AGENT.count("\n") + 1  # the line where a test's own text begins

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Each test finds the interpreter as a fresh fork server would."""
    path, modules, decorated = sys.path[:], set(sys.modules), DECORATED[:]
    yield
    sys.path[:], DECORATED[:] = path, decorated
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(AGENT + dedent(text))
        return path

    return write


def refused(specs: list[str], cwd: Path) -> str:
    with pytest.raises(HandlersError) as caught:
        load_handlers(specs, cwd)
    return str(caught.value)


def test_without_any_handlers_the_registry_is_empty(tmp_path: Path) -> None:
    assert load_handlers([], tmp_path).types() == []


def test_a_file_brings_its_agents_its_decorated_functions_and_its_hooks(write: Write, tmp_path: Path) -> None:
    write(
        "jobs/work.py",
        """
        agent, other = Agent(), Agent()
        agent.registry.register("a", lambda payload: {"from": "a"})
        other.registry.register("b", lambda payload: {})
        other.registry.worker_start.append(print)

        @handler("c", max_attempts=2, timeout="30s")
        def c(payload): return {}
        """,
    )
    registry = load_handlers(["jobs/work.py"], tmp_path)
    assert registry.types() == ["a", "b", "c"]
    assert registry.worker_start == [print]
    found = registry.get("a")
    assert found is not None
    assert found.fn({}) == {"from": "a"}
    assert options_as_json(registry)["c"] == {"max_attempts": 2, "timeout": 30.0, "max_concurrent": None}
    json.dumps(options_as_json(registry))


def test_a_package_brings_what_its_modules_decorate(write: Write, tmp_path: Path) -> None:
    write("shop_tasks/__init__.py", "from . import mail, images")
    write("shop_tasks/mail.py", "@handler('mail')\ndef mail(payload): return {}")
    write("shop_tasks/images.py", "@handler('image')\ndef image(payload): return {}")
    assert load_handlers(["shop_tasks"], tmp_path).types() == ["image", "mail"]


def test_handlers_py_in_the_working_directory_loads_besides(write: Write, tmp_path: Path) -> None:
    write("handlers.py", "@handler('here')\ndef here(payload): return {}")
    write("more.py", "@handler('more')\ndef more(payload): return {}")
    assert load_handlers(["more"], tmp_path).types() == ["here", "more"]


@pytest.mark.parametrize(
    "specs",
    [
        ["handlers.py"],
        ["handlers"],
        ["./handlers.py", "handlers"],
        ["handlers", "handlers.py", "uses"],
        ["uses", "handlers:agent"],
    ],
)
def test_a_module_reached_on_several_ways_registers_once(write: Write, tmp_path: Path, specs: list[str]) -> None:
    source = """
        agent = Agent()
        @handler("decorated")
        def decorated(payload): return {}
        def method(payload): return {}
        agent.registry.register("method", method)
        """
    write("handlers.py", source)
    write("uses.py", "from handlers import agent, decorated")
    assert load_handlers(specs, tmp_path).types() == ["decorated", "method"]


def test_a_copy_under_another_name_is_no_second_registration(write: Write, tmp_path: Path) -> None:
    write("handlers.py", "@handler('once')\ndef once(payload): return {}")
    write("uses.py", "import handlers")
    assert load_handlers(["handlers.py", "uses.py"], tmp_path).types() == ["once"]


def test_one_attribute_of_a_module_may_be_named(write: Write, tmp_path: Path) -> None:
    write(
        "pick.py",
        """
        class box: agent = Agent()
        box.agent.registry.register("a", lambda payload: {})
        @handler("dotted.b", max_concurrent=1)
        def b(payload): return {}
        def plain(payload): return {}
        """,
    )
    assert load_handlers(["pick:box.agent"], tmp_path).types() == ["a"]
    assert options_as_json(load_handlers(["pick:b"], tmp_path))["dotted.b"]["max_concurrent"] == 1
    assert load_handlers(["pick.py:plain"], tmp_path).types() == ["plain"]
    assert load_handlers(["pick:plain", "pick:b", "pick:b"], tmp_path).types() == ["dotted.b", "plain"]


def test_an_attribute_that_is_missing_or_no_handler_is_an_error(write: Write, tmp_path: Path) -> None:
    write("pick.py", "agent = Agent()\nNUMBER = 5\nasync def later(payload): return {}")
    assert "there is no 'agnt' in it; did you mean 'agent'?" in refused(["pick:agnt"], tmp_path)
    assert "'NUMBER' is of type int, and neither an agent nor a function" in refused(["pick:NUMBER"], tmp_path)
    assert "'Agent' is of type type, and neither" in refused(["pick:Agent"], tmp_path)
    assert "handlers pick:later: the handler of type 'later'" in refused(["pick:later"], tmp_path)


def test_two_functions_for_one_type_are_an_error_naming_both_places(write: Write, tmp_path: Path) -> None:
    one = write("one.py", "@handler('same')\ndef first(payload): return {}")
    two = write("two.py", "agent = Agent()\nagent.registry.register('same', lambda payload: {})")
    message = refused(["one", "two.py"], tmp_path)
    assert "'same' is registered twice" in message
    assert f"{one}:{FIRST}" in message
    assert f"{two}:{FIRST + 1}" in message


def test_a_mistake_in_registering_is_one_sentence_with_its_place(write: Write, tmp_path: Path) -> None:
    path = write("bad.py", "agent = Agent()\nagent.registry.register('demo', 5)")
    message = refused(["bad"], tmp_path)
    assert message == f"handlers bad at {path}:{FIRST + 1}: the handler of type 'demo' is of type int: pass a function"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere", "there is no module 'nowhere'; tried "),
        ("known.nowhere", "there is no module 'known.nowhere'; tried "),
        ("known.mod.deeper", "known.mod is a module, not a package, so it has no 'deeper'"),
        ("nowhere.mod", "there is no module 'nowhere'; tried "),
        ("..mod", "there is no module"),
        ("", "SPEC is empty"),
        ("missing.py", "there is no file {cwd}/missing.py"),
        ("sub/missing.py", "there is no file {cwd}/sub/missing.py"),
        ("./known", "there is no file {cwd}/known"),
    ],
)
def test_what_is_not_there_is_told_with_where_it_was_looked_for(
    write: Write, tmp_path: Path, spec: str, message: str
) -> None:
    write("known/__init__.py", "")
    write("known/mod.py", "")
    told = refused([spec], tmp_path)
    assert message.format(cwd=tmp_path) in told
    assert "Traceback" not in told
    if "tried" in message:
        assert str(tmp_path) in told


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("int('x')", "ValueError"),
        ("import no_such_library", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import sys; sys.exit('bye')", "SystemExit"),
    ],
)
def test_a_module_that_raises_shows_its_own_traceback_and_nothing_of_ours(
    write: Write, tmp_path: Path, line: str, kind: str
) -> None:
    path = write("broken.py", f"def start():\n    {line}\nstart()")
    for spec in ("broken", "broken.py"):
        told = refused([spec], tmp_path)
        assert f"handlers {spec} could not be imported: it raised {kind} at {path}:{FIRST + 1}; mend it there." in told
        assert "Your traceback:" in told
        assert f'File "{path}", line {FIRST + 2}, in <module>' in told
        assert f'File "{path}", line {FIRST + 1}, in start' in told
        assert "importlib" not in told
        assert str(ROOT / "agent") not in told


def test_the_cause_of_what_a_module_raises_is_shown_too(write: Write, tmp_path: Path) -> None:
    write("broken.py", "try:\n    int('x')\nexcept ValueError as error:\n    raise RuntimeError('no luck') from error")
    told = refused(["broken"], tmp_path)
    assert "ValueError: invalid literal" in told
    assert "RuntimeError: no luck" in told
    assert "importlib" not in told


def test_a_syntax_error_is_shown_with_its_line(write: Write, tmp_path: Path) -> None:
    path = write("broken.py", "def x(:\n    pass")
    told = refused(["broken.py"], tmp_path)
    assert f'File "{path}", line {FIRST}' in told
    assert "SyntaxError" in told


def test_a_module_that_raised_leaves_nothing_behind(write: Write, tmp_path: Path) -> None:
    path = write("broken.py", "@handler('half')\ndef half(payload): return {}\nraise ValueError")
    refused(["broken.py"], tmp_path)
    assert not any(name.startswith("broken") for name in sys.modules)
    path.write_text(AGENT + "@handler('whole')\ndef whole(payload): return {}\nMENDED = True")
    assert load_handlers(["broken.py"], tmp_path).types() == ["whole"]


@pytest.mark.parametrize(
    "line",
    [
        "import agent.tools",
        "from agent import tools",
        "from agent.tools import hammer",
        "import workers.mine",
        "import supervisor.mine",
        "import agent; agent.hammer()",
    ],
)
def test_a_module_that_wants_its_own_agent_package_is_told_that_the_name_is_taken(
    write: Write, tmp_path: Path, line: str
) -> None:
    write("agent/__init__.py", "")
    write("agent/tools.py", "hammer = 1")
    path = write("handlers.py", line)
    told = refused([], tmp_path)
    assert "the names agent, workers and supervisor are taken" in told
    assert f"{path}:{FIRST}" in told
    assert "\n" not in told


@pytest.mark.parametrize("spec", ["agent", "agent.tools:run", "workers.mine", "supervisor"])
def test_a_spec_cannot_name_our_own_packages(tmp_path: Path, spec: str) -> None:
    assert "the names agent, workers and supervisor are taken" in refused([spec], tmp_path)


def test_a_library_the_user_lacks_is_not_taken_for_one_of_our_names(write: Write, tmp_path: Path) -> None:
    write("handlers.py", "from enhanced_automation_agent_tools import x")
    assert "taken" not in refused([], tmp_path)


def test_the_main_block_of_a_file_does_not_run(write: Write, tmp_path: Path) -> None:
    write("handlers.py", "if __name__ == '__main__':\n    raise SystemExit('ran')")
    assert load_handlers([], tmp_path).types() == []


def test_classes_of_a_file_are_found_by_name(write: Write, tmp_path: Path) -> None:
    source = """
        from dataclasses import dataclass
        @dataclass
        class Point:
            x: "int"
        @handler("point")
        def point(payload): return {"point": Point(**payload)}
        """
    write("my handlers.py", source)
    entry = load_handlers(["my handlers.py"], tmp_path).get("point")
    assert entry is not None
    point = entry.fn({"x": 1})["point"]
    assert get_type_hints(type(point)) == {"x": int}
    assert importlib.import_module(type(point).__module__).Point is type(point)


def test_files_of_one_name_in_two_directories_do_not_meet(write: Write, tmp_path: Path) -> None:
    write("a/handlers.py", "@handler('a')\ndef a(payload): return {}")
    write("b/handlers.py", "@handler('b')\ndef b(payload): return {}")
    assert load_handlers(["a/handlers.py", "b/handlers.py"], tmp_path).types() == ["a", "b"]


def test_a_file_may_import_its_neighbours(write: Write, tmp_path: Path) -> None:
    write("elsewhere/neighbour_of_work.py", "NAME = 'next door'")
    path = write("elsewhere/work.py", "from neighbour_of_work import NAME\n@handler(NAME)\ndef a(payload): return {}")
    assert load_handlers([str(path)], tmp_path / "nowhere").types() == ["next door"]


def test_our_names_win_over_those_of_the_working_directory(write: Write, tmp_path: Path) -> None:
    write("agent/__init__.py", "raise SystemExit('the wrong agent')")
    write("workers/__init__.py", "raise SystemExit('the wrong workers')")
    write("handlers.py", "@handler('here')\ndef here(payload): return {}")
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path; from agent.loader import load_handlers\n"
        f"sys.path[:0] = ['', {str(tmp_path)!r}]\n"
        "registry = load_handlers([], Path.cwd()); import workers\n"
        "print(registry.types(), list(workers.__path__)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stderr == ""
    assert done.stdout == f"['here'] {ROOT / 'workers'}\n"


def test_an_odd_object_in_a_module_is_left_alone(write: Write, tmp_path: Path) -> None:
    write(
        "handlers.py",
        """
        class Proxy:
            def __getattr__(self, name): raise RuntimeError("working outside of a context")
        proxy = Proxy()
        @handler("fine")
        def fine(payload): return {}
        """,
    )
    assert load_handlers([], tmp_path).types() == ["fine"]
