"""Every seeded bug fits the code as it stands, and names a scenario that there is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from campaign.__main__ import main, scenarios
from campaign.bugs import CHECKOUT, Bug, Found, Play, _keep, _kept, bugs
from campaign.run import Run


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_a_seeded_bug_can_be_put_in(bug: Bug) -> None:
    words = ["patch", "--dry-run", "--quiet", "--fuzz=0", "-p1", "-i", str(bug.patch)]

    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=20)

    assert done.returncode == 0, done.stdout
    assert bug.play.scenario in scenarios()
    assert not bug.play.only or any(bug.play.only in part for part in scenarios()[bug.play.scenario].parts())
    assert bug.what.endswith(".")


def test_there_are_at_least_forty() -> None:
    assert len(bugs()) >= 40


def test_a_patch_names_what_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.bugs.PATCHES", tmp_path)
    for name, scenario in (("a", "kills"), ("b", "keys (full)"), ("c", "points (only kill at after_commit)")):
        (tmp_path / f"{name}.patch").write_text(f"It is wrong.\nscenario: {scenario}\n")

    assert [bug.play for bug in bugs()] == [
        Play("kills"), Play("keys", is_full=True), Play("points", only="kill at after_commit")
    ]  # fmt: skip


def test_a_patch_that_names_nothing_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.bugs.PATCHES", tmp_path)
    (tmp_path / "a.patch").write_text("It is wrong.\nscenario: keys, or so\n")

    with pytest.raises(ValueError, match="patch names its scenario in no known form"):
        bugs()


def test_what_was_found_is_kept_beside_what_was_found_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.bugs.RESULTS", tmp_path / "results" / "table.json")
    for name, breach in (("late", ""), ("early", "lost"), ("late", "lost too")):
        _keep("caught", name, Found("It is wrong.", "kills", breach, 1, 2.0), is_wanted=True)

    kept = _kept()
    assert {name: found["breach"] for name, found in kept["caught"].items()} == {"early": "lost", "late": "lost too"}


@pytest.mark.parametrize("words", [["points", "--only", "no cell"], ["kills", "--only", "a part"], ["--only", "x"]])
def test_a_part_that_there_is_not_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(words)

    assert refused.value.code == 2
    assert "goes with the name of one scenario that has such a part" in capsys.readouterr().err


def test_a_time_that_is_none_is_refused_and_shown_how(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--for", "soon"])

    assert "--for: 'soon' is not a duration: use seconds, a timedelta, or text such as" in capsys.readouterr().err


def test_the_parts_that_are_meant_are_played(tmp_path: Path) -> None:
    run = Run(1, tmp_path, only="at before_commit in the caller")

    assert run.means("full at before_commit in the caller")
    assert not run.means("full at after_commit in the caller")
