"""The `bench` command: its subcommands, and what an error becomes."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bench import __version__
from bench.cli import analyze, check, compare, merge, publish, show, submit, train, verify
from bench.cli import doctor as doctor_command
from bench.cli import list as list_command
from bench.cli import run as run_command
from bench.cli import train as train_command
from bench.core.errors import BenchError
from bench.core.plain_text import one_line

__all__ = ["app", "main"]

_INTERRUPTED = 130


class _Group(TyperGroup):
    """Turns what a user can fix into one line and an exit code; all else keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BenchError as error:
            typer.echo(f"bench: {one_line(str(error))}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            typer.echo("bench: interrupted; what was finished is kept. The same command resumes.", err=True)
            raise typer.Exit(_INTERRUPTED) from None


app = typer.Typer(
    name="bench",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run_command.run)
app.command("merge")(merge.merge)
app.command("doctor")(doctor_command.doctor)
app.command("analyze")(analyze.analyze)
app.command("train")(train_command.train)
app.command("list")(list_command.list_names)
app.command("show")(show.show)
app.command("compare")(compare.compare)
app.command("verify")(verify.verify)
app.command("publish")(publish.publish)
app.command("check")(check.check)
app.command("submit")(submit.submit)
app.command("train")(train.train)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bench {__version__}")
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


def main() -> None:
    """Run the command line of this process."""
    app()
