"""Small models, trained once in a process, and the command line run in it: for tests of what people do with a model."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

from unrolled.cli import main

FIRST = {"the": 0.5, "a": 0.3, "my": 0.2}  # how lines begin
TRAIN = ("--threads", "1", "--seed", "3")


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code, and the bytes of its streams as text."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(*arguments: object, stdin: bytes = b"") -> Done:
    """`unrolled ...` in this process, with streams of its own."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        tempfile.TemporaryFile() as file,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        io.TextIOWrapper(file, encoding="utf-8") as given,
        mock.patch.object(sys, "stdin", given),
    ):
        file.write(stdin)
        file.seek(0)
        code = main([str(argument) for argument in arguments])
        sys.stdout.flush()
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # pyright: ignore[reportAttributeAccessIssue]
    return Done(code, *texts)


def refused(done: Done, code: int = 2) -> str:
    """The one line that a refusal is, without `error: `; nothing on stdout."""
    assert done.code == code, done
    assert done.out == "", done.out
    last = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(last) == 1 and done.err.endswith(last[0] + "\n"), done.err
    assert "Traceback" not in done.err
    return last[0].removeprefix("error: ")


def sentences(count: int, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    firsts = chance.choices([*FIRST], [*FIRST.values()], k=count)
    return [
        " ".join((first, chance.choice(("cat", "dog", "cow")), chance.choice(("sat", "ran")), "."))
        for first in firsts
    ]


@dataclass(frozen=True)
class Small:
    """A text of one sentence a line, and models of it by word, by white space and by character."""

    folder: Path
    text: Path
    few: Path  # its first lines: type checks at every call make a line cost 20 ms
    word: Path
    white: Path
    char: Path


def temporary() -> Path:
    """A folder that is gone when the tests are."""
    folder = Path(tempfile.mkdtemp(prefix="unrolled-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def apart(*commands: Sequence[object]) -> None:
    """`unrolled ...` for each, all well, in one process of their own: no type checks at every call slow it down."""
    code = (
        "import json, sys; from unrolled.cli import main; sys.exit(max(map(main, json.loads(sys.argv[1]))))"
    )
    given = json.dumps([[str(argument) for argument in command] for command in commands])
    done = subprocess.run([sys.executable, "-c", code, given], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


@cache
def small() -> Small:
    folder = temporary()
    text = folder / "text.txt"
    text.write_text("\n".join(sentences(2000)) + "\n", encoding="utf-8")
    few = folder / "few.txt"
    few.write_text("\n".join(sentences(2000)[:20]) + "\n", encoding="utf-8")
    commands = [
        ["train", "language", text, "--out", folder / unit, "--unit", unit, "--hidden", size, *more, *TRAIN]
        for unit, size, more in (
            ("word", 24, ("--epochs", 4)),
            ("white", 16, ("--epochs", 1)),
            ("char", 32, ("--epochs", 1)),
        )
    ]
    apart(*commands)
    return Small(folder, text, few, folder / "word", folder / "white", folder / "char")


@contextlib.contextmanager
def nothing_new(folder: Path) -> Iterator[None]:
    """Asserts that a folder holds the same files with the same bytes afterwards."""

    def content() -> dict[str, bytes | None]:
        return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}

    before = content()
    yield
    assert content() == before
