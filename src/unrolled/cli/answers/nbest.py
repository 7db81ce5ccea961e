"""`score --nbest`: reorder lists of hypotheses by the probability of a language model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from unrolled.cli.answers.line_io import Line
from unrolled.core.errors import DataError


@dataclass(frozen=True)
class Hypothesis:
    """One of a list: the list's name, the text, whether it is marked as the true one (None: not marked), its id."""

    list: str
    text: str
    true: bool | None
    id: object = None


def reorder(
    lines: Iterable[Line], score: Callable[[str], float], write: Callable[[str], None], form: str
) -> None:
    """Write each list again, most probable first (ties in the order given); accuracy to stderr where it is marked."""
    lists = marked = right = 0
    for group in groups(lines):
        scored = sorted(((score(one.text), one) for one in group), key=lambda pair: -pair[0])
        lists += 1
        if any(one.true for one in group):
            marked += 1
            right += bool(scored[0][1].true)
        for value, one in scored:
            record = {"list": one.list, "text": one.text, "log_probability": value}
            record = record if one.id is None else {"id": one.id, **record}
            write(
                json.dumps(record, ensure_ascii=False)
                if form == "jsonl"
                else f"{value:.4f}\t{one.list}\t{one.text}"
            )
    accuracy = f", the true one first in {right:,} of {marked:,} ({right / marked:.2%})" if marked else ""
    print(f"{lists:,} lists reordered{accuracy}", file=sys.stderr)


def groups(lines: Iterable[Line]) -> Iterator[list[Hypothesis]]:
    """The lists, in the order in which they begin: all lines of the same first column, wherever they stand, or of one
    block between blank lines. Blocks come one by one; lists with names when all lines have been read."""
    named: dict[str, list[Hypothesis]] = {}
    block: list[Hypothesis] = []
    number = 0
    for line in lines:
        if line.text.startswith("#"):
            continue
        if not line.text.strip():
            if block:
                yield block
            block, number = [], number + 1
            continue
        one = _hypothesis(line, number)
        if named and "\t" not in line.text:
            expected = "a list, a tab and a hypothesis, as in the lines before"
            raise DataError("a line without a list", file=line.file, line=line.number, expected=expected)
        if "\t" in line.text:
            named.setdefault(one.list, []).append(one)
        else:
            block.append(one)
    if block:
        yield block
    yield from named.values()


def _hypothesis(line: Line, block: int) -> Hypothesis:
    columns = line.text.split("\t")
    if len(columns) == 1:
        return Hypothesis(f"{block}", columns[0], None, line.id)
    mark = columns[1] if len(columns) > 2 else None
    if mark not in (None, "0", "1"):
        raise DataError(
            f"the second column is '{mark}'",
            file=line.file,
            line=line.number,
            expected="0 or 1, or two columns: list, hypothesis",
        )
    return Hypothesis(columns[0].strip(), columns[-1], None if mark is None else mark == "1", line.id)
