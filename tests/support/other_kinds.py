"""A reader, an input and an output as a package of somebody else would bring them; see other_cells.py.

The reader takes `.pipe` files, of lines `text|class`. The input reads a text as the lengths of its words. The output is
one class, with an answer in capitals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Answer, Example, Place
from unrolled.data.read_request import ReadRequest, examples_of
from unrolled.data.readers import Format
from unrolled.tasks.inputs import InputKind
from unrolled.tasks.outputs import OUTPUTS
from unrolled.tasks.outputs.label import Label


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """The lines of the files."""
    lines = (
        (Place(path, number), line)
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    )

    def example(record: tuple[Place, str]) -> Example:
        place, line = record
        text, bar, name = line.rpartition("|")
        if wanted.asked and not bar:
            raise DataError("no class", file=place.file, line=place.line, expected="text|class")
        return Example(text if bar else line, name if wanted.target else None, place)

    return examples_of(lines, example, lambda record: record[0], wanted)


PIPE = Format((".pipe",), read)


@dataclass(frozen=True)
class Lengths:
    """The words of a text by their lengths, [T_x, 1], divided by the longest one of training."""

    longest: int

    n_x: ClassVar[int] = 1
    ids: ClassVar[bool] = False
    multi_hot: ClassVar[bool] = False

    @property
    def unk_candidates(self) -> NDArray[np.bool_]:
        return np.zeros(0, np.bool_)

    def steps(self, x: Any) -> Any:
        return str(x).split()

    def encode(self, x: Any, place: Place | None = None) -> NDArray[Any]:
        sizes = [len(word) / self.longest for word in str(x).split()]
        return np.array(sizes, np.float32).reshape(-1, 1)  # [T_x, 1]

    def unknown(self, x: Any, encoded: Any) -> int:
        return 0

    def to_json(self) -> dict[str, Any]:
        return {"longest": self.longest}


def learn(examples: Iterable[Example], config: DataConfig) -> tuple[Lengths, str]:
    longest = max(len(word) for example in examples for word in str(example.x).split())
    return Lengths(longest), f"words of at most {longest} letters"


def restore(value: Mapping[str, Any]) -> Lengths:
    if set(value) != {"longest"} or type(value["longest"]) is not int:
        raise DataError("the longest word is damaged", expected="a whole number")
    return Lengths(value["longest"])


LENGTHS = InputKind("text", learn, restore)


class Loud(Label):
    """One class, written in capitals."""

    def to_answer(self, answer: Any, steps: Any, top: int, weights: Mapping[str, Any]) -> Answer:
        told = super().to_answer(answer, steps, top, weights)
        return replace(told, text=told.text.upper())


def _loud(label: Label) -> Loud:
    return Loud(label.classes, label.ordinal, label.temperature)


LOUD = replace(
    OUTPUTS["label"],
    learn=lambda examples, data, model: _loud(OUTPUTS["label"].learn(examples, data, model)),
    restore=lambda value: _loud(OUTPUTS["label"].restore(value)),
)
POINTS = {
    "unrolled.readers": "pipe = other_kinds:PIPE",
    "unrolled.inputs": "lengths = other_kinds:LENGTHS",
    "unrolled.outputs": "loud = other_kinds:LOUD",
}


def install(folder: Path) -> Path:
    """Write the distribution `other-kinds` 0.3: this file as its module, and its entry points. For PYTHONPATH."""
    info = folder / "other_kinds-0.3.dist-info"
    info.mkdir(parents=True)
    (folder / "other_kinds.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-kinds\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{line}\n" for group, line in POINTS.items()))
    return folder
