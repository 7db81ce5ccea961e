"""Tiny files for every combination of an input and an output: `MAKERS`, a function for each task."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clips import write_actions, write_changes
from support.small_lines import write_lines
from support.small_tasks import write_conll, write_reviews, write_sensors
from support.small_tunes import write_tunes
from support.tones import sound, table, texts, write
from support.training_runs import write_text
from unrolled.data.media.midi import read_midi

ROWS = 24  # examples for training


@dataclass(frozen=True)
class Files:
    """The files of a combination.

    train: what `check`, `train` and `evaluate` read. asked: what `predict` reads. x: the sequences of `asked` in their
    order, as Python takes them. options: of `check` and `train`.
    """

    train: Path
    asked: Path
    x: list[object]
    options: tuple[object, ...] = ()


def column(path: Path, name: str) -> list[object]:
    """A column of a table."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [row[name] for row in csv.DictReader(stream)]


def series(path: Path) -> list[object]:
    """The series of a table of `write_sensors`, [T_x, 2] each."""
    with path.open(newline="", encoding="utf-8") as stream:
        runs = itertools.groupby(csv.DictReader(stream), key=lambda row: row["run"])
        return [np.array([[float(row["left"]), float(row["right"])] for row in rows]) for _, rows in runs]


def language(folder: Path) -> Files:
    text, asked = write_text(folder / "text.txt", 40), write_text(folder / "more.txt", 5, 1)
    return Files(text, asked, list(asked.read_text().splitlines()), ("--documents", "line", "--window", 16))


def reviews(asked: str) -> Callable[[Path], Files]:
    def make(folder: Path) -> Files:
        train, more = write_reviews(folder / "reviews.csv", ROWS), write_reviews(folder / "more.csv", 5, 1)
        return Files(train, more, column(more, "text"), ("--columns", f"x=text,y={asked}"))

    return make


def sentences(folder: Path) -> Files:
    train, more = write_conll(folder / "train.conll", ROWS), write_conll(folder / "more.conll", 5, 1)
    blocks = more.read_text().strip().split("\n\n")
    return Files(train, more, [tuple(line.split("\t")[0] for line in block.split("\n")) for block in blocks])


def pairs(folder: Path) -> Files:
    words = ["eins", "zwei", "drei", "vier"]
    for name, count in (("train.csv", 4), ("more.csv", 2)):
        rows = [f"{a} {b},{b} {a}" for a, b in itertools.product(words[:count], repeat=2)]
        (folder / name).write_text("\n".join(["source,target", *rows]) + "\n")
    return Files(folder / "train.csv", folder / "more.csv", column(folder / "more.csv", "source"))


def sensors(*options: object) -> Callable[[Path], Files]:
    def make(folder: Path) -> Files:
        train, more = write_sensors(folder / "sensors.csv", ROWS), write_sensors(folder / "more.csv", 5, 1)
        return Files(train, more, series(more), options)

    return make


def recordings(asked: str) -> Callable[[Path], Files]:
    def make(folder: Path) -> Files:
        train = table(folder, texts(ROWS), asked)
        more = table(folder, texts(5, 1), asked, seed=1)
        names = [folder / str(name) for name in column(more, "audio")]
        return Files(train, more, list(names), ("--bands", 8))

    return make


def stretches(folder: Path) -> Files:
    for name, count in (("train.csv", 12), ("more.csv", 4)):
        rows = ["audio,tags"]
        for number in range(count):
            write(folder / f"{name}-{number}.wav", sound("ab", number))
            rows.append(f"{name}-{number}.wav,0.05-0.2 sound")
        (folder / name).write_text("\n".join(rows) + "\n")
    x = [folder / str(name) for name in column(folder / "more.csv", "audio")]
    return Files(folder / "train.csv", folder / "more.csv", list(x), ("--bands", 8))


def lines(folder: Path) -> Files:
    train, more = write_lines(folder / "train", ROWS, 1), write_lines(folder / "more", 5, 2)
    return Files(
        train, more, [more.parent / str(name) for name in column(more, "image")], ("--frame-size", 14)
    )


def actions(folder: Path) -> Files:
    train, more = (
        write_actions(folder / name, count, count, ("open", "close"))
        for name, count in (("train", 8), ("more", 4))
    )
    return Files(train, more, sorted(more.rglob("*.*")), ("--frame-size", 8))


def changes(folder: Path) -> Files:
    train, more = write_changes(folder / "train", 6, 1), write_changes(folder / "more", 3, 2)
    x = [more.parent / str(name) for name in column(more, "clip")]
    return Files(train, more, list(x), ("--frame-size", 8))


def tunes(folder: Path) -> Files:
    train, more = write_tunes(folder / "train", 6), write_tunes(folder / "more", 2, seed=100)
    x = [replace(read_midi(path), genre=path.parent.name) for path in sorted(more.rglob("*.mid"))]
    return Files(train, more, list(x), ("--transpose", 1))


BY_RUN = "by=run,x=left+right"
MAKERS: dict[str, Callable[[Path], Files]] = {
    "language": language,
    "classify": reviews("label"),
    "tag": sentences,
    "transcribe": recordings("text"),
    "recognize": actions,
    "translate": pairs,
    "compose": tunes,
    "numbers:sequence": sensors("--columns", f"{BY_RUN},y=kind", "--unit", "char"),
    "tokens:number": reviews("price"),
    "numbers:label": sensors("--columns", f"{BY_RUN},y=kind"),
    "numbers:number": sensors("--columns", BY_RUN, "--horizon", 2, "--history", 40),
    "numbers:next": sensors("--columns", BY_RUN),
    "numbers:tags": sensors("--columns", f"{BY_RUN},y=high"),
    "images:sequence": lines,
    "frames:tags": changes,
    "audio:label": recordings("label"),
    "audio:tags": stretches,
    "rolls:next": tunes,
}
