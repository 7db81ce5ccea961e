"""The command line: one file per command, imported when it is used.

Results go to stdout, progress and notes to stderr. Errors are one line, exit codes as in `errors`.
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
    "evaluate": "measure a model on files it has not seen",
    "predict": "answer one line with one line",
    "sample": "write new sequences",
    "score": "say how probable lines are, or reorder n-best lists",
    "compare": "cells, units and baselines side by side: whether a recurrent model is worth it",
    "check": "what training would see: the data doctor",
    "doctor": "verify and time the equations and engines on this machine",
    "demo": "learn real text in about a minute, and look at what was learnt",
}

LONG = (
    "train",
    "compare",
    "demo",
)  # a training looks after its numbers itself, and a warning does not end it
OVERFLOW = r"(overflow|invalid value|divide by zero) encountered"


class Parser(argparse.ArgumentParser):
    """argparse, with errors of ours: one line, and the nearest option where one is unknown."""

    def format_help(self) -> str:
        """The help without the colours that newer versions of argparse add: stdout shows terminal codes as text."""
        return re.sub("\x1b\\[[0-9;]*m", "", super().format_help())

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of printing the usage and leaving."""
        hint = f"`{self.prog} --help`"
        if message.startswith("unrecognized arguments: "):
            given = message.removeprefix("unrecognized arguments: ").split()[0].split("=")[0]
            hint = suggest(given, self._option_string_actions) or hint
            message = f"unknown option {given}" if given.startswith("-") else f"unexpected '{given}'"
        elif message.startswith("argument --") and message.endswith("expected one argument"):
            option = message.split()[1].rstrip(":")
            hint = f"{option}=VALUE where the value begins with a dash"
        raise UsageError(message, hint=hint)


def parser_of(verb: str) -> Parser:
    """The parser of one verb. Abbreviated options are refused: they would change meaning as options come."""
    parser = Parser(
        prog=f"unrolled {verb}",
        description=VERBS[verb][0].upper() + VERBS[verb][1:] + ".",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    import_module(f".{verb}", __name__).add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    with unwinding(ends=argv is None), warnings.catch_warnings(), escaping_terminal():
        if arguments[:1] and arguments[0] not in LONG:
            # What NumPy only warns of would be printed as "nan" or "inf".
            warnings.filterwarnings("error", OVERFLOW, RuntimeWarning)
        return _answered(arguments)


def _answered(arguments: list[str]) -> int:
    """Run one command, and say in one line what went wrong."""
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
        what = f"numbers of the model or of the data are too large: {error}"
        _leave(NonFiniteError(what), debug, error)
        return NonFiniteError.exit_code
    except BrokenPipeError:
        # The reader has gone (`| head`): no message.
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
    try:
        # Intermixed: FILE may stand behind the options, where argparse otherwise takes it for left over.
        parsed = parser_of(verb).parse_intermixed_args(rest)
    except SystemExit:  # --help has been printed; errors are UsageErrors
        sys.stdout.flush()
        return 0
    _check_inputs(parsed)
    run: Callable[[argparse.Namespace], int] = import_module(f".{verb}", __name__).run
    code = run(parsed)
    sys.stdout.flush()
    return code


def _check_inputs(parsed: argparse.Namespace) -> None:
    """Refuse what can be no input before anything large is imported and before anything is read.

    That is a pipe, a device, a socket, a link that leads back to itself. Whether a folder will do, and what to say of a
    missing file, is for the reader.
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
        "unrolled: recurrent sequence models, from your own sequences to a small model that streams on any CPU\n\n"
        f"usage: unrolled VERB ...\n\n{verbs}\n\n"
        "first steps:\n"
        "  unrolled demo                                      about a minute, on text that this machine has\n"
        "  unrolled train language book.txt --out book        then:\n"
        "  unrolled sample book --prompt 'Once upon'\n"
        "\n`unrolled VERB --help` shows a verb's options; `unrolled --version` the version."
    )


def _open_streams() -> None:
    """UTF-8 out, as it is in, whatever the locale; what is no Unicode is escaped. A closed stream takes nothing."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (the same)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _drop_output() -> None:
    """Throw away what stdout did not take; Python would complain of it a second time at its exit."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(error: UnrolledError, debug: bool, cause: BaseException | None = None) -> None:
    if debug:
        raise cause or error
    print(f"error: {error}", file=sys.stderr)
