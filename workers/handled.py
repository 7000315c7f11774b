"""Why there is nothing that the workers could run, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from agent.config import Loaded

BESIDES = "handlers.py"  # is loaded from the working directory without being named
DECORATE = 'decorate functions with @handler("type")'


def why_none(loaded: Loaded, is_program: bool) -> str:
    """Why no type has a handler, where that was looked for, and the cure. `is_program`: it registers its own."""
    if is_program:
        return f"this program has registered none: {DECORATE}, or call register_handler, before resume()"
    read = [*loaded.config.handlers, *(str(each) for each in [Path.cwd() / BESIDES] if each.is_file())]
    if read:
        return f"{', '.join(read)} registers none: {DECORATE}, or name another file by --handlers FILE"
    file = loaded.path or "a config.yml"
    return f"nothing names any, and {Path.cwd()} has no {BESIDES}: add --handlers FILE, or handlers: [FILE] in {file}"
