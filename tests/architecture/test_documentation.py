"""README and config.yml say what there is: every command, setting, script and move of the lifecycle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def readme() -> str:
    return (CHECKOUT / "README.md").read_text("utf-8")


def test_every_command_has_a_row_in_the_readme(readme: str) -> None:
    assert [command for command in commands() if command not in documented_commands(readme)] == []


def test_every_command_has_a_help_text() -> None:
    import click

    from agent.cli.main import cli

    context = click.Context(cli)
    found = [cli.get_command(context, name) for name in commands()]

    assert [command.name for command in found if command and not command.help] == []


def test_every_key_of_the_configuration_has_a_comment() -> None:
    found = list(uncommented_settings((CHECKOUT / "config.yml").read_text("utf-8")))

    assert not found, "\n".join(found)


def test_every_script_is_named_in_the_readme(readme: str) -> None:
    scripts = sorted(f"scripts/{path.name}" for path in (CHECKOUT / "scripts").iterdir())

    assert [script for script in scripts if not re.search(rf"\b{script}\b", readme)] == []


def test_every_move_and_state_of_the_lifecycle_is_in_the_readme(readme: str) -> None:
    from agent.lifecycle import MOVES, State

    section = section_about("lifecycle", readme)
    words = [move.verb for move in MOVES] + [state.word for state in State]

    assert [word for word in words if not re.search(rf"\b{word}\b", section)] == []


def test_a_setting_without_a_comment_is_caught() -> None:
    text = "# the first\na: 1\nb:  # a group\n  c: '# none'\n  d: [1]  # a list\ne:\n  # below\n  f: 2\n"

    assert list(uncommented_settings(text)) == ["b.c", "e"]


def test_only_the_first_cell_of_a_row_documents_a_command() -> None:
    text = "| `enqueue TYPE` · `resume` | like `stats` |\nand `inspect` elsewhere"

    assert documented_commands(text) == {"enqueue", "resume"}


def test_a_section_ends_where_the_next_of_its_rank_begins() -> None:
    text = "# A\n## The lifecycle\nclaim\n### Why\nbegin\n## Next\nfail\n"

    assert section_about("lifecycle", text) == "## The lifecycle\nclaim\n### Why\nbegin\n"


def commands() -> list[str]:
    """Every command that `--help` shows."""
    import click

    from agent.cli.main import cli

    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return [name for name, command in found.items() if command and not command.hidden]


def documented_commands(text: str) -> set[str]:
    """The first word of each piece of code in the first cell of each table row."""
    first_cells = re.findall(r"^\|([^|]*)", text, flags=re.MULTILINE)
    return {word for cell in first_cells for word in re.findall(r"`([a-z][\w-]*)", cell)}


def section_about(subject: str, text: str) -> str:
    """The first section whose heading holds the word, up to the next heading of its rank or a higher one."""
    heading = re.search(rf"^(#+) .*{subject}.*$", text, flags=re.MULTILINE | re.IGNORECASE)
    if not heading:
        pytest.fail(f"README.md has no heading with the word {subject!r}")
    rest = text[heading.end() :]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, flags=re.MULTILINE)
    return text[heading.start() : heading.end() + (end.start() if end else len(rest))]


def uncommented_settings(text: str) -> Iterator[str]:
    """The path of each key with no comment on its line or on the line above."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        yield from _uncommented(root, text.splitlines(), "")


def _uncommented(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[str]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        is_group = isinstance(value, yaml.MappingNode) and not value.flow_style
        end = key.end_mark if is_group else value.end_mark
        above = lines[key.start_mark.line - 1].strip() if key.start_mark.line else ""
        if not above.startswith("#") and "#" not in lines[min(end.line, len(lines) - 1)][end.column :]:
            yield path
        if is_group:
            yield from _uncommented(value, lines, f"{path}.")
