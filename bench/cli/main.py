"""The `bench` command: its subcommands, and what an error becomes."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import sys
import tempfile
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bench import __version__
from bench.cli import (
    analyze,
    certify,
    check,
    compare,
    conformance,
    export,
    journal,
    merge,
    publish,
    report,
    show,
    submit,
    train,
    verify,
)
from bench.cli import doctor as doctor_command
from bench.cli import list as list_command
from bench.cli import run as run_command
from bench.cli.arguments import check_words
from bench.cli.output import give_up, remark, say
from bench.cli.usage import UsageError, in_own_words
from bench.core.errors import BenchError, WorkFailedError
from bench.core.plain_text import one_line, reason_of

__all__ = ["app", "main"]

_REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG)
"""What the system says of a path that the user named, or of a disk: no fault of bench."""
_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EPIPE)
_INTERRUPTED = 130
_INTERNAL = 70  # EX_SOFTWARE of sysexits.h: 1 would be a finding


class _Group(TyperGroup):
    """Turns what a user can fix into one line and an exit code, and a fault of bench into another."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().make_context(*arguments, **options)
        except UsageError as error:
            raise in_own_words(error) from error

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, a traceback is no answer
            sys.exit(_told(error))

    def invoke(self, ctx: Any) -> Any:
        try:
            check_words(ctx.args)
            return super().invoke(ctx)
        except UsageError as error:
            raise in_own_words(error) from error
        except OSError as error:  # typer itself would exit with 1 for a broken pipe
            raise typer.Exit(_told(error)) from error
        except SystemExit as error:  # nothing of bench raises it: the user's model, anywhere
            raise BenchError(_exited(error)) from error
        except KeyboardInterrupt:
            remark("bench: interrupted; what was finished is kept. The same command resumes.")
            raise typer.Exit(_INTERRUPTED) from None


app = typer.Typer(
    name="bench",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run_command.run)
app.command("merge")(merge.merge)
app.command("doctor")(doctor_command.doctor)
app.command("conformance")(conformance.conformance)
app.command("analyze")(analyze.analyze)
app.command("list")(list_command.list_names)
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("verify")(verify.verify)
app.command("certify")(certify.certify)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("journal")(journal.journal)
app.command("publish")(publish.publish)
app.command("check")(check.check)
app.command("submit")(submit.submit)
app.command("train")(train.train)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def bench(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """How robust an image classifier really is, with the evidence.

    \b
    Examples:
      bench list models
      bench run --model aw-net --dataset cifar10
      bench show
    """


def _told(error: BaseException) -> int:
    """Print one line about what ended the command, and return its exit code."""
    line, code = _ended_by(error)
    remark(f"bench: {one_line(line)}")
    return code


def _ended_by(error: BaseException) -> tuple[str, int]:
    if isinstance(error, BenchError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.filename is not None and error.errno in _REFUSALS:
        return f"Cannot use {error.filename}: {error.strerror}.", BenchError.exit_code
    if isinstance(error, OSError) and error.errno in _NO_MORE:
        give_up(sys.stdout)
        return f"Cannot write: {error.strerror}. What was finished is kept.", WorkFailedError.exit_code
    where = _reported(error)
    told = f"internal error, a fault of bench: {reason_of(error)}. What was finished is kept. Please report it with"
    return f"{told} {where}", _INTERNAL


def _exited(error: SystemExit) -> str:
    """Where a user's code ended the process, which would have been an exit code of its own choice."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"The model's code ended the run by sys.exit({error.code!r:.40}) in {last.filename}, line {last.lineno}."
        " Let it raise an exception or answer; what was finished is kept."
    )


def _reported(error: BaseException) -> str:
    """Where the traceback of a fault of bench is now: in a file, or on stderr where none can be written."""
    about = f"bench {__version__}, Python {platform.python_version()}, {platform.platform()}"
    trace = "".join(traceback.format_exception(error))
    content = f"{about}\n{shlex.join(sys.argv)}\n\n{trace}"
    try:
        handle, path = tempfile.mkstemp(prefix="bench-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(content)
    except OSError:
        remark(content)
        return "the traceback above."
    return path


def main() -> None:
    """Run the command line of this process."""
    try:
        app(prog_name="bench")  # also as `python -m bench`, whose completion looks for that name
    finally:
        try:
            sys.stderr.flush()
        except (OSError, ValueError):  # warnings that nobody reads choose no exit code
            give_up(sys.stderr)


if __name__ == "__main__":
    main()
