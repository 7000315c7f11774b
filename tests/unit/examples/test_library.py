"""The demo's work: every file of the standard library is surveyed, and many processes add up to what one does."""

from __future__ import annotations

import sysconfig
import zlib
from hashlib import sha256
from pathlib import Path
from random import Random

from agent.payload import dump_result
from examples.library import agent, files, plain, survey, total


def test_a_survey_counts_lines_and_definitions_and_measures_the_source(tmp_path: Path) -> None:
    path = tmp_path / "shapes.py"
    source = b"class A:\n    def f(self): ...\n\nasync def g():\n    return lambda: 1\n"
    path.write_bytes(source)
    assert survey({"path": str(path)}) == {
        "path": str(path),
        "lines": 5,
        "definitions": 3,
        "bytes": len(source),
        "compressed": len(zlib.compress(source, 9)),
        "sha256": sha256(source).hexdigest(),
    }


def test_a_file_that_does_not_parse_is_surveyed_all_the_same(tmp_path: Path) -> None:
    broken = {
        "syntax.py": b"def (:\n",
        "encoding.py": b"# coding: nowhere\nx = 1\n",
        "bytes.py": b"x = '\xff'\n",
        "nul.py": b"x = 1\0\n",
        "deep.py": b"x = " + b"(" * 100_000,
        "long.py": b"x = " + b"-" * 100_000 + b"1\n",
    }
    for name, source in broken.items():
        (tmp_path / name).write_bytes(source)
        result = survey({"path": str(tmp_path / name)})
        assert (result["definitions"], result["unparsed"], result["bytes"]) == (0, True, len(source))


def test_a_warning_of_the_compiler_stays_unheard(tmp_path: Path) -> None:
    (tmp_path / "escape.py").write_text("def f(): return '\\d' is 'x'\n")
    assert survey({"path": str(tmp_path / "escape.py")})["definitions"] == 1


def test_the_files_are_those_of_the_standard_library_alone() -> None:
    found = files()
    assert found == sorted(set(found))
    assert str(Path(sysconfig.get_path("stdlib"), "json", "decoder.py")) in found
    assert not [path for path in found if "site-packages" in path or "__pycache__" in path]


def test_the_files_of_another_directory_may_be_surveyed(tmp_path: Path) -> None:
    for name in ("b.py", "a/c.py", "site-packages/no.py", "a/__pycache__/no.py", "no.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "dangling.py").symlink_to("nowhere")
    assert files(str(tmp_path)) == [str(tmp_path / "a/c.py"), str(tmp_path / "b.py")]


def test_the_summary_is_the_same_in_whatever_order_the_surveys_come() -> None:
    paths = [path for path in files() if "/json/" in path or "/email/" in path]
    results = [survey({"path": path}) for path in paths]
    summary = plain(paths)
    Random(1).shuffle(results)
    assert total(results) == summary
    assert summary.files == len(paths) > 5
    assert summary.bytes == sum(Path(path).stat().st_size for path in paths)
    assert 0 < summary.compressed < summary.bytes
    assert total(results[1:]) != summary


def test_nothing_adds_up_to_nothing() -> None:
    assert (plain([]).files, plain([]).bytes) == (0, 0)


def test_the_handler_is_registered_and_its_result_may_be_stored() -> None:
    entry = agent.registry.get("survey")
    assert entry is not None
    assert entry.fn is survey
    dump_result(entry.fn({"path": __file__}), 1 << 20)
