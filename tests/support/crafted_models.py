"""Model files that no training would write: well-formed, with right checksums, and wrong in what they say.

    python -m support.crafted_models FOLDER SEED COUNT

changes COUNT models of the folder at random, runs commands on them, and prints a line for each that did not end in an
answer of finite numbers or in one of our own errors.
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
import random
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from support.small_tasks import write_conll, write_reviews, write_series
from unrolled.cli import main
from unrolled.core import tensor_file
from unrolled.core.errors import UnrolledError
from unrolled.models import model_file

SECONDS = 20  # that a command may take
TRAIN = ("--epochs", "1", "--hidden", "4", "--threads", "1")
# Each model: its task, its data, options, and what is asked of it.
MODELS: dict[str, tuple[str, str, tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "word": ("language", "text.txt", ("--unit", "word"), (("score", "lines"), ("sample", "--length", "5"))),
    "char": ("language", "text.txt", ("--unit", "char", "--cell", "gru"), (("predict", "lines"),)),
    "label": ("classify", "reviews.csv", (), (("predict", "lines"), ("evaluate", "reviews.csv"))),
    "price": ("tokens:number", "reviews.csv", ("--columns", "y=price"), (("predict", "lines"),)),
    "tags": (
        "tag",
        "tags.conll",
        (),
        (("predict", "lines", "--format", "conll"), ("evaluate", "tags.conll")),
    ),
    "series": ("numbers:next", "series.csv", (), (("predict", "series.csv"),)),
    "ahead": ("numbers:number", "series.csv", ("--horizon", "3"), (("evaluate", "series.csv"),)),
    "pairs": ("translate", "pairs.csv", (), (("predict", "lines"), ("evaluate", "pairs.csv"))),
}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, 10**30, 1e308, -1e308, 0.5, 1e-320),
    *("", "a", "tokens", "\0", "x" * 1000, [], {}, [[]], [1, 2], ["a", "b"], {"a": 1}, [None], [{}], "label"),
)


def make(folder: Path) -> None:
    """Train every model in the folder."""
    os.chdir(folder)
    Path("text.txt").write_text("the cat sat .\na dog ran .\n" * 60)
    Path("lines").write_text("the cat sat\na dog\n")
    Path("pairs.csv").write_text("source,target\n" + "the cat,die idee\na dog,es ist gut\n" * 20)
    write_reviews(Path("reviews.csv"), 40)
    write_conll(Path("tags.conll"), 30)
    write_series(Path("series.csv"), 120)
    for name, (task, data, options, _) in MODELS.items():
        assert main(["train", task, data, "--out", name, *TRAIN, *options]) == 0


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON document; of lists the first few members."""
    if at:
        yield at
    members = (
        value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    )
    for key, member in members:
        yield from places(member, (*at, key))


def changed(document: dict[str, Any], chance: random.Random) -> str:
    """Change one value of a document in place; where and how."""
    *outer, key = chance.choice(list(places(document)))
    home: Any = document
    for step in outer:
        home = home[step]
    how = chance.choice(("drop", "shift", "list", "extra", "value", "value", "value"))
    old = home[key]
    match how:
        case "drop":
            del home[key]
        case "shift" if type(old) in (int, float):
            home[key] = chance.choice((old - 1, old + 1, old + 10**6, -old, old * 1e30))
        case "list" if isinstance(old, list) and old:
            home[key] = chance.choice((old[::-1], old[:-1], [*old, old[0]], old * 3))
        case "extra" if isinstance(home, dict):
            home["extra"] = chance.choice(VALUES)
        case _:
            home[key] = copy.deepcopy(chance.choice(VALUES))
    return f"{how} {[*outer, key]}"


def reweighted(tensors: dict[str, Any], chance: random.Random) -> str:
    """Change one tensor in place; which and how."""
    name, how = (
        chance.choice(sorted(tensors)),
        chance.choice(("type", "huge", "largest", "flat", "drop", "all")),
    )
    with np.errstate(over="ignore", invalid="ignore"):
        match how:
            case "type":
                tensors[name] = tensors[name].astype(chance.choice(("f8", "i4", "u4", "f2", "?")))
            case "huge":
                tensors[name] = tensors[name] * np.float32(chance.choice((1e10, 1e20, 1e30)))
            case "largest":
                tensors[name] = np.full_like(tensors[name], 3e38)
            case "flat":
                tensors[name] = tensors[name].reshape(-1)
            case "drop" if len(tensors) > 1:
                del tensors[name]
            case _:
                for other in tensors:
                    tensors[other] = tensors[other] * np.float32(1e25)
    return f"{how} {name}"


def crafted(name: str, chance: random.Random) -> tuple[str, bytes]:
    """A changed model: what was changed, and its file. Raises UnrolledError where no file can hold it."""
    model = model_file.load(Path(name))
    parts = ("task", "spec", "learnt", "config", "notes")
    document = {part: copy.deepcopy(getattr(model, part)) for part in parts}
    tensors = {key: np.array(value) for key, value in model.tensors.items()}
    did = [
        changed(document, chance) if chance.random() < 0.7 else reweighted(tensors, chance)
        for _ in range(chance.choice((1, 1, 2)))
    ]
    pieces = tensor_file.pack(model_file.KIND, model_file.FORMAT_VERSION, document, tensors)
    return "; ".join(did), b"".join(map(bytes, pieces))


def late(number: int, frame: object) -> None:
    raise TimeoutError(f"more than {SECONDS} seconds")


def findings(folder: Path, seed: int, count: int) -> Iterator[str]:
    """What did not end well, of so many changed models."""
    os.chdir(folder)
    chance = random.Random(seed)
    signal.signal(signal.SIGALRM, late)
    warnings.simplefilter("error")
    for _ in range(count):
        name = chance.choice(sorted(MODELS))
        try:
            did, data = crafted(name, chance)
        except UnrolledError:
            continue
        Path("crafted").write_bytes(data)
        for verb, *words in MODELS[name][3]:
            if wrong := outcome([verb, "crafted", *words]):
                yield f"{name} {verb} ({did}): {wrong}"


def outcome(words: list[str]) -> str:
    """What is wrong with how a command ends; empty where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    finally:
        signal.alarm(0)
    if code == 0:
        numbers = re.search(r"(?<![\w.])-?(nan|inf|infinity)(?![\w.])", out.getvalue(), re.IGNORECASE)
        return f"exit code 0 and {numbers[0]!r}" if numbers else ""
    last = err.getvalue().strip().splitlines()[-1:]
    return (
        "" if code in (2, 4) and last and last[0].startswith("error: ") else f"exit code {code}: {last}"[:300]
    )


if __name__ == "__main__":
    home = Path(sys.argv[1])
    if not (home / "pairs").exists():
        make(home)
    print(*findings(home, int(sys.argv[2]), int(sys.argv[3])), sep="\n")
