"""Finds the command, calls it, and turns whatever happens into an exit code and at most one sentence."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from importlib import import_module

import click

from agent.cli.invocation import Build, Invocation
from agent.cli.output import complain, note
from agent.errors import AgentError, Unavailable

COMMANDS = {
    "enqueue": "enqueue",
    "resume": "resume",
    "stats": "stats",
    "inspect": "inspect",
    "tasks": "tasks",
    "cancel": "cancel_retry",
    "retry": "cancel_retry",
    "pause": "pause_scale",
    "unpause": "pause_scale",
    "scale": "pause_scale",
    "workers": "workers",
    "freeze": "workers",
    "thaw": "workers",
    "demo": "demo",
}
"""Each command and its module in `agent.cli.commands`, in the order in which help shows them."""

FAILURE, INTERRUPTED = 1, 130

CURES = {
    errno.EMFILE: "let this process open more files (ulimit -n; LimitNOFILE= in a unit)",
    errno.ENFILE: "let the system open more files (sysctl fs.file-max)",
    errno.ENOMEM: "free some memory",
    errno.ENOSPC: "make room on its disks",
    errno.EDQUOT: "make room within the user's quota",
}
"""What to do where the system refuses what any program may need."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, freshly imported, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"agent.cli.commands.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with. Raises UsageError with a guess at what was meant."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from agent.handlers import did_you_mean

            ctx.fail(f"there is no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


def _show_version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from agent.cli.version import version

        click.echo(f"sanaagent {version()}")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="The configuration; else $SANAAGENT_CONFIG, ./config.yml, defaults.")
@click.option(
    "--handlers",
    metavar="SPEC",
    multiple=True,
    help="Handlers: pkg.mod, pkg.mod:attr or a .py file; may be repeated; else $SANAAGENT_HANDLERS, the configuration.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.pass_obj
def cli(invocation: Invocation, config: str | None, handlers: tuple[str, ...], debug: bool) -> None:
    """Run automation tasks on this host: kept in SQLite, governed, and lost by nobody's death.

    Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 conflict, 5 a waited-for task failed, 6 timeout,
    65 bad payload, 69 unavailable, 75 try later, 78 bad configuration, 130 interrupted.
    """
    invocation.config = config
    invocation.handlers = handlers or None
    invocation.debug = debug


def run(argv: Sequence[str] | None, build: Build) -> int:
    """Run one command line (None: that of the process); its exit code."""
    invocation = Invocation(build)
    try:
        with invocation:
            return _exit_code(cli.main(argv, standalone_mode=False, obj=invocation))
    except SystemExit as leaving:  # click's answer to a reader who has gone
        return _exit_code(leaving.code)
    except BrokenPipeError:
        return FAILURE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        return _misused(error)
    except AgentError as error:
        _trace(invocation)
        complain(str(error))
        return error.exit_code
    except Exception as error:
        _trace(invocation)
        if isinstance(error, OSError) and (cure := CURES.get(error.errno or 0)):
            complain(f"the system has no more to give ({error.strerror}): {cure}")
            return Unavailable.exit_code
        hint = "" if invocation.debug else "; --debug before the command shows where"
        complain(f"a bug in the agent, not in what you typed: {type(error).__name__}: {error}{hint}")
        return FAILURE


def _exit_code(returned: object) -> int:
    return returned if isinstance(returned, int) else 0


def _misused(error: click.ClickException) -> int:
    """Say what was wrong with the arguments, and where help is."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        note(error.message)
        return error.exit_code
    complain(error.format_message())
    if context:
        if isinstance(error, click.NoSuchOption):
            _say_where_it_belongs(error.option_name, context)
        note(f"help: {context.command_path} --help")
    return error.exit_code


def _say_where_it_belongs(option: str, context: click.Context) -> None:
    """To whoever has typed an option on the wrong side of the command."""
    if context.command is cli:
        note("what is said to a command goes after it")
    elif any(option in parameter.opts for parameter in cli.params):
        note(f"{option} goes before the command: {context.find_root().command_path} {option} … {context.info_name}")


def _trace(invocation: Invocation) -> None:
    if invocation.debug:
        import traceback

        note(traceback.format_exc())
