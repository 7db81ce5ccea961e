"""The command line. Each command has its own file, which is imported when the command is used.

Results go to stdout. Progress and notes go to stderr. An error is one line; `errors` has the exit codes.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from unrolled.core.errors import Interrupted, NonFiniteError, UnrolledError, UsageError, suggest
from unrolled.core.signals import Terminated, unwinding
from unrolled.core.terminal import escaping_terminal
from unrolled.core.version import __version__

VERBS = {
    "train": "train a model on your own files",
    "evaluate": "measure a model on labelled files that it has not seen",
    "predict": "print the answer of a model to each line or file",
    "sample": "write new texts or tunes with a model",
    "score": "print the log-probability of each line, or reorder n-best lists",
    "compare": "train models with different cells and units, and compare them with simple baselines",
    "check": "find faults in your data before you train",
    "doctor": "compare every cell and engine with its equation and measure its speed",
    "demo": "train small models on text for a minute and show what they learned",
}

LONG = ("train", "compare", "demo")  # training checks its numbers itself, so a warning must not stop it
WIDTH = 100  # maximum number of columns of a help text
OVERFLOW = r"(overflow|invalid value|divide by zero) encountered"


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors that suggest the nearest option."""

    def format_help(self) -> str:
        """Return the help without terminal colours, which newer argparse versions add.

        stdout would escape them and show them as text.
        """
        return re.sub("\x1b\\[[0-9;]*m", "", super().format_help())

    def error(self, message: str) -> NoReturn:
        """Raise UsageError. argparse would print the usage and exit."""
        hint = f"`{self.prog} --help`"
        if message.startswith("unrecognized arguments: "):
            given = message.removeprefix("unrecognized arguments: ").split()[0].split("=")[0]
            hint = suggest(given, self._option_string_actions) or hint
            message = f"unknown option {given}" if given.startswith("-") else f"unexpected '{given}'"
        elif message.startswith("argument --") and message.endswith("expected one argument"):
            option = message.split()[1].rstrip(":")
            hint = f"{option}=VALUE if the value begins with a dash"
        raise UsageError(message, hint=hint)


def help_width() -> int:
    """Return the number of columns of a help text: WIDTH, or fewer on a narrower terminal."""
    import shutil  # imported here because only a help text needs it

    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)


def wide_help(prog: str) -> argparse.HelpFormatter:
    """Return the formatter of all help texts."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=help_width())


def parser_of(verb: str) -> Parser:
    """Return the parser of one command.

    An abbreviated option is an error, because a new option could change its meaning.
    """
    parser = Parser(
        prog=f"unrolled {verb}",
        description=VERBS[verb][0].upper() + VERBS[verb][1:] + ".",
        allow_abbrev=False,
        formatter_class=wide_help,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    import_module(f".{verb}", __name__).add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    with unwinding(ends=argv is None), warnings.catch_warnings(), escaping_terminal():
        if arguments[:1] and arguments[0] not in LONG:
            # NumPy only warns about an overflow, and the command would print "nan" or "inf".
            warnings.filterwarnings("error", OVERFLOW, RuntimeWarning)
        return _answered(arguments)


def _answered(arguments: list[str]) -> int:
    """Run one command and return its exit code. An error is reported in one line."""
    debug = "--debug" in arguments
    try:
        return _run(arguments)
    except UnrolledError as error:
        _leave(error, debug)
        return error.exit_code
    except Terminated as stop:
        if stop.number == signal.SIGINT:
            print("error: interrupted", file=sys.stderr)
            return Interrupted.exit_code
        print(f"error: stopped by {signal.Signals(stop.number).name}", file=sys.stderr)
        return 128 + stop.number
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return Interrupted.exit_code
    except RuntimeWarning as error:
        what = f"a calculation overflowed because numbers of the model or the data are too large: {error}"
        _leave(NonFiniteError(what), debug, error)
        return NonFiniteError.exit_code
    except BrokenPipeError:
        # The program that reads the pipe has ended (`| head`). This is no error, so no message is printed.
        _drop_output()
        return 128 + signal.SIGPIPE
    except MemoryError as error:
        _leave(UsageError("out of memory", hint="a smaller --batch-size, --window or --hidden"), debug, error)
        return 3
    except OSError as error:
        _drop_output()
        _leave(UnrolledError(error.strerror or str(error), file=error.filename), debug, error)
        return 3


def _run(arguments: Sequence[str]) -> int:
    verb, *rest = arguments or ["--help"]
    if verb == "--debug" and rest:
        verb, rest = rest[0], rest[1:]
    if verb in ("-h", "--help"):
        print(_overview())
        return 0
    if verb in ("-V", "--version"):
        print(f"unrolled {__version__}")
        return 0
    if verb not in VERBS:
        raise UsageError(
            f"unknown command '{verb}'",
            expected=", ".join(VERBS),
            hint=suggest(verb, [*VERBS, "--help", "--version"]),
        )
    if verb == "train" and not {"-h", "--help"}.isdisjoint(rest):
        print(import_module(".task_help", __name__).train_help(rest), end="")
        return 0
    try:
        # "Intermixed" allows a file after the options.
        parsed = parser_of(verb).parse_intermixed_args(rest)
    except SystemExit:  # argparse has printed the help; its errors are UsageErrors
        sys.stdout.flush()
        return 0
    _check_inputs(parsed)
    run: Callable[[argparse.Namespace], int] = import_module(f".{verb}", __name__).run
    code = run(parsed)
    sys.stdout.flush()
    return code


def _check_inputs(parsed: argparse.Namespace) -> None:
    """Raise UsageError if an input is a pipe, a device, a socket or a circular link.

    This check runs before large modules are imported and before any file is read. The readers check folders
    and missing files.
    """
    from unrolled.core.regular_files import require_regular

    for name in ("config", "data", "valid", "test", "file", "against", "dictionary"):
        value = getattr(parsed, name, None)
        for path in value if isinstance(value, list) else [value]:
            if path is not None and os.path.lexists(path):
                require_regular(path, folder=True)


def _overview() -> str:
    verbs = "\n".join(f"  {name:10}{text}" for name, text in VERBS.items())
    return (
        "unrolled trains small recurrent models (LSTM, GRU, RNN) on your own files.\n\n"
        f"usage: unrolled COMMAND ...\n\ncommands:\n{verbs}\n\n"
        "first steps:\n"
        "  unrolled demo\n"
        "  unrolled check classify reviews.csv\n"
        "  unrolled train classify reviews.csv --out reviews.model\n"
        "  unrolled predict reviews.model new.txt\n"
        "\n`unrolled COMMAND --help` shows the options of a command.\n"
        "`unrolled train --help` lists the tasks.\n"
        "`unrolled --version` shows the version."
    )


def _open_streams() -> None:
    """Write UTF-8 in every locale and escape invalid Unicode. Output to a closed stream is dropped."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (the same)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _drop_output() -> None:
    """Drop the output that could not be written. Otherwise Python reports the error again when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(error: UnrolledError, debug: bool, cause: BaseException | None = None) -> None:
    if debug:
        raise cause or error
    print(f"error: {error}", file=sys.stderr)
