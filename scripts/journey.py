"""Count the source files through which data passes on two journeys; fail above the limits in pyproject.toml.

The journeys:
* row: a row of a CSV file is read, a classifier is trained on it for one step, and `predict` answers it.
* stream: a text is read, and a language model of characters is trained on it until the first checkpoint.

Only calls that have the data are counted. A call has the data if an argument, or a value that it returns or
yields, is or contains one of these:
* the text of the row, or at least 20 characters of the text,
* its list of tokens,
* an array with an axis of a size that only the data has,
* the answer.
In the journey `stream`, every array counts from the first batch on, because the weights then depend on the
data.

The results:
* files: the number of files of src/unrolled with such calls.
* hops: how often the file changes from one such call, or return, to the next. A row that is parsed twice hops
  twice.

With --verbose, the files and the hops are listed, with the number of each hop.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "unrolled"
DEPTH = 3  # maximum nesting of tuples, lists, dicts and records that are searched
LOOKED_AT = 400  # maximum number of items that are searched in each of them

# Sizes that identify arrays of the data: no vocabulary, class count, layer or sum of these has the same size.
ROWS, TOKENS, CLASSES = 29, 19, 5
SHORTER = 7  # number of tokens of the other rows
LANES, WINDOW, CHARACTERS = 17, 11, 1_012
WORDS = tuple(
    f"{first}{last}" for first in ("bal", "kor", "mis", "tun", "ves") for last in ("a", "in", "ot", "un")
)
MARKS = ("zyzzyva", "quokka")  # neighbours in the row, but not in a sorted list
STREAM = "".join(WORDS[i * i % len(WORDS)] + " " for i in range(CHARACTERS))[:CHARACTERS]
SMALL = ("--epochs", "1", "--hidden", "8", "--embedding", "6")


@dataclass
class Journey:
    """The files through which the data has passed.

    sizes: sizes of axes that only arrays of the data have.
    text: whether a text is a part of the data.
    answer: shapes of the answer.
    weights: whether every array counts from the first batch on.
    until: name of the function whose return ends the journey.
    """

    sizes: frozenset[int]
    text: Callable[[str], bool]
    answer: frozenset[tuple[int, ...]] = frozenset()
    weights: bool = False
    until: str = ""
    path: list[str] = field(default_factory=list)
    learning: bool = False
    over: bool = False

    def holds(self, value: Any, depth: int = DEPTH) -> bool:
        """Whether a value is, or contains, the data."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode("utf-8", "replace"))
            case list() | tuple() | set() | frozenset():
                return depth > 0 and self._in_items(list(value)[:LOOKED_AT], depth)
            case dict() if {str} == set(map(type, value)) and any("." in name for name in value):
                # The tensors of a network; some have the shape of an answer.
                return self.weights and self.learning
            case dict():
                return depth > 0 and self._in_items(list(value.values())[:LOOKED_AT], depth)
            case _:
                pass
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple):
            counted = self.learning and len(shape) > 0
            return (
                counted
                or bool(self.sizes.intersection(shape))
                or (tuple(shape) in self.answer and bool(self.path))
            )
        if is_dataclass(value) and not isinstance(value, type) and depth > 0:
            parts = [getattr(value, one.name, None) for one in fields(value)]
            return type(value).__name__ == "Answer" or self._in_items(parts, depth)
        return False

    def _in_items(self, items: Sequence[Any], depth: int) -> bool:
        if any(
            one == MARKS[0] and after == MARKS[1] for one, after in pairwise(items) if isinstance(one, str)
        ):
            return True
        return any(
            self.holds(item, depth - 1) for item in items if not isinstance(item, str) or len(item) > 20
        )

    def watch(self, frame: FrameType, event: str, value: Any) -> None:
        """Record a call or a return. This is a function for sys.setprofile."""
        code = frame.f_code
        if self.over or event not in ("call", "return") or not code.co_filename.startswith(f"{SOURCE}/"):
            return
        if event == "call":
            count = code.co_argcount + code.co_kwonlyargcount
            values = [frame.f_locals.get(name) for name in code.co_varnames[:count]]
        else:
            values = [value]
        self.learning = self.learning or (self.weights and any(type(v).__name__ == "Batch" for v in values))
        if any(map(self.holds, values)):
            name = Path(code.co_filename).relative_to(SOURCE).as_posix()
            if not self.path or self.path[-1] != name:
                self.path.append(name)
        self.over = event == "return" and code.co_name == self.until

    def run(self, *arguments: str | Path) -> None:
        """Run a command of `unrolled` and record its calls. Raises RuntimeError if it fails."""
        from unrolled import cli

        told = io.StringIO()
        with (
            contextlib.redirect_stderr(told),
            contextlib.redirect_stdout(io.StringIO()),
            _profiling(self.watch),
        ):
            code = cli.main([str(one) for one in arguments])
        if code:
            raise RuntimeError(told.getvalue())


@contextlib.contextmanager
def _profiling(watch: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def row(folder: Path) -> list[str]:
    """Return the files on the path of one row, in order, from the CSV file to the answer."""
    marked = " ".join((WORDS[0], *MARKS, *(WORDS[1], WORDS[2]) * 8))
    texts = [" ".join(WORDS[(i * 7 + k * k) % len(WORDS)] for k in range(SHORTER)) for i in range(ROWS - 1)]
    texts.insert(ROWS // 2, marked)
    table, asked, model = folder / "rows.csv", folder / "row.txt", folder / "row.model"
    lines = [f"{text},class{i % CLASSES}" for i, text in enumerate(texts)]
    table.write_text("\n".join(["text,label", *lines, ""]), encoding="utf-8")
    asked.write_text(marked + "\n", encoding="utf-8")
    sizes = frozenset((ROWS, TOKENS, (ROWS - 1) * SHORTER + TOKENS))
    learn = Journey(sizes, _is_marked)
    learn.run("train", "classify", table, "--out", model, "--batch-size", str(ROWS), *SMALL)
    answer = Journey(sizes, _is_marked, frozenset(((CLASSES,), (1, CLASSES))))
    answer.run("predict", model, asked)
    return learn.path + answer.path


def _is_marked(text: str) -> bool:
    return " ".join(MARKS) in text


def stream(folder: Path) -> list[str]:
    """Return the files on the path of a text, in order, from the text file to the first checkpoint."""
    text = folder / "text.txt"
    text.write_text(STREAM, encoding="utf-8")
    sizes = frozenset((CHARACTERS, CHARACTERS + 1, LANES, WINDOW, LANES * WINDOW))
    learn = Journey(
        sizes, lambda part: len(part) >= 20 and part in STREAM, weights=True, until="save_checkpoint"
    )
    sizes_of_batches = ("--batch-size", str(LANES), "--window", str(WINDOW))
    learn.run(
        "train",
        "language",
        text,
        "--unit",
        "char",
        "--out",
        folder / "model",
        *sizes_of_batches,
        *SMALL,
        "--cold",
        "0",
    )
    return learn.path


def hops(path: Sequence[str]) -> int:
    """Return how often the file changes on the path."""
    return sum(before != after for before, after in pairwise(path))


JOURNEYS: dict[str, Callable[[Path], list[str]]] = {"row": row, "stream": stream}


def measure() -> dict[str, list[str]]:
    """Return the path of each journey by its name."""
    with tempfile.TemporaryDirectory() as folder:
        return {name: travel(Path(folder)) for name, travel in JOURNEYS.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--verbose", action="store_true", help="list the files and the hops of each journey")
    verbose = parser.parse_args().verbose
    sys.path.insert(0, str(SOURCE.parent))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["unrolled"]
    limits: dict[str, int] = settings["limits"]
    over = False
    for name, path in measure().items():
        if verbose:
            print(*(f"{name}: {file}" for file in sorted(set(path))), sep="\n")
            for (before, after), count in sorted(Counter(pairwise(path)).items(), key=lambda item: -item[1]):
                print(f"{name}: {count:4} x {before} -> {after}")
        for what, count in (("files", len(set(path))), ("hops", hops(path))):
            limit = limits.get(f"{name}_{what}")
            over = over or (limit is not None and count > limit)
            print(f"{name:6} {what:5} {count:5}" + (f" of {limit:5}" if limit is not None else ""))
    if over:
        print("error: above the limits in pyproject.toml; pass the data through fewer files", file=sys.stderr)
    return int(over)


if __name__ == "__main__":
    raise SystemExit(main())
