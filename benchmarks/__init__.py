"""Questions about speed, answered beside a peer or a limit that is measured in the same run.

One module a question: its docstring's first line asks it, its `run(options)` answers with a Report. `scripts/bench`
runs all of them, or those it is told. What they stand on: `options`, `report`, `rounds`, `machine`; `scene` (an agent
as a user runs it); `pools`, `raw_sqlite` and `peers` (what it is held against).
"""

from __future__ import annotations


class Broken(Exception):
    """A benchmark could not be carried out; the message says what went wrong."""
