"""Faults at failpoints, a few that chance picks; and the matrix, which leaves out no point and no action."""

from __future__ import annotations

from pathlib import Path

from agent.failpoints import ACTIONS, POINTS
from campaign import points
from campaign.cells import matrix
from tests.campaign.scenario import play


def test_faults_at_named_points_break_no_promise(data_dir: Path) -> None:
    report = play(points.run, data_dir)

    assert sum(report.faults.values()) == points.SHORT


def test_the_matrix_has_every_action_at_every_point() -> None:
    assert {(cell.point, cell.action) for cell in matrix()} == {(point, act) for point in POINTS for act in ACTIONS}
    assert len(set(matrix())) == len(list(matrix()))
