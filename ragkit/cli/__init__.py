"""The command line: `ragkit run`, `eval`, `tune`, `compare`, `ask`, `index` and the others. One file per command."""

import sys
from typing import Any

import typer

from ragkit.cli import calibrate, index, memory, stages
from ragkit.cli.ask import ask
from ragkit.cli.compare import compare
from ragkit.cli.console import errors, show_log
from ragkit.cli.doctor import doctor
from ragkit.cli.eval import evaluate
from ragkit.cli.explain import explain
from ragkit.cli.init import init
from ragkit.cli.questions import questions
from ragkit.cli.report import report
from ragkit.cli.reproduce import reproduce
from ragkit.cli.run import run
from ragkit.cli.schema import schema
from ragkit.cli.trec import trec
from ragkit.cli.tune import tune
from ragkit.cli.validate import validate
from ragkit.errors import InputError, MissingPackageError, RagkitError

# Newer versions of typer bring a click of their own, older ones use the package: both are found through typer's class.
_UsageError: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")

app = typer.Typer(
    help="Declare a RAG pipeline in YAML, run it over thousands of questions, know where every answer was won or lost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command("eval")(evaluate)
app.command()(tune)
app.command()(compare)
app.command()(reproduce)
app.command()(trec)
app.command()(questions)
app.command()(ask)
app.add_typer(index.app, name="index")
app.add_typer(memory.app, name="memory")
app.add_typer(calibrate.app, name="calibrate")
app.command()(report)
app.command()(explain)
app.command()(validate)
app.add_typer(stages.app, name="stages")
app.command()(schema)
app.command()(init)
app.command()(doctor)


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks. May stand anywhere."),
    allow_code: bool = typer.Option(
        False, "--allow-code", help="Let a pipeline name any installed Python class. May stand anywhere."
    ),
) -> None:
    del debug, allow_code  # taken out of the arguments by main(), so that they may stand anywhere


def main() -> None:
    """Run the command line and exit: 0 done, 1 some questions failed, 2 the input is wrong, 130 stopped by Ctrl-C."""
    arguments = [argument for argument in sys.argv[1:] if argument not in {"--debug", "--allow-code"}]
    if "--allow-code" in sys.argv:
        from ragkit.engine.policy import allow_code

        allow_code()
    show_log()
    sys.exit(_dispatch(arguments, debug="--debug" in sys.argv))


def _dispatch(arguments: list[str], *, debug: bool) -> int:
    try:
        return app(arguments, prog_name="ragkit", standalone_mode=False) or 0
    except _UsageError as error:
        error.show()
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except RagkitError as error:
        if debug:
            raise
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return 2 if isinstance(error, (InputError, MissingPackageError)) else 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe went away
        return 1
    except OSError as error:
        if debug:
            raise
        errors.print(f"{error.filename or 'a file'}: {error.strerror or error}", style="red", markup=False)
        return 2
    except Exception as error:
        if debug:
            raise
        text = f"ragkit failed on something it does not expect: {type(error).__name__}: {error}"
        errors.print(f"{text}\nRun the command again with --debug for the traceback.", style="red", markup=False)
        return 3
