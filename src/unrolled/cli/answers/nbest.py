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
    """One hypothesis of a list.

    list: the name of the list. text: the hypothesis. true: whether it is marked as the true hypothesis (None:
    no mark). id: the id of a JSON line.
    """

    list: str
    text: str
    true: bool | None
    id: object = None


def reorder(
    lines: Iterable[Line], score: Callable[[str], float], write: Callable[[str], None], form: str
) -> None:
    """Write each list again, the most probable hypothesis first. Ties keep their order.

    score: returns the log-probability of a text. form: `text` or `jsonl`. At the end, the number of lists is
    printed on stderr, and the accuracy if true hypotheses are marked.
    """
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
    accuracy = (
        f"; the true hypothesis is first in {right:,} of {marked:,} ({right / marked:.2%})" if marked else ""
    )
    print(f"{lists:,} lists reordered{accuracy}", file=sys.stderr)


def groups(lines: Iterable[Line]) -> Iterator[list[Hypothesis]]:
    """Yield the lists in the order of their first lines.

    A list is all lines with the same first column, anywhere in the file, or a block between blank lines.
    A block is yielded at its end; lists with names are yielded after the last line.
    Raises DataError if a line without the name of a list follows lines with names.
    """
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
            expected = "LIST, a tab and HYPOTHESIS, as in the lines before"
            raise DataError("no name of a list", file=line.file, line=line.number, expected=expected)
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
            expected="0 or 1, or only two columns: LIST and HYPOTHESIS",
        )
    return Hypothesis(columns[0].strip(), columns[-1], None if mark is None else mark == "1", line.id)
