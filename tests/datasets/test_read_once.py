"""Examples that are kept between passes: each file is parsed as seldom as possible, and nothing else changes."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled import cli
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.data import table_files
from unrolled.datasets import read_once as module
from unrolled.datasets.read_once import CHUNK, IN_MEMORY, TOGETHER, read_once

MARKED = "a row like no other"
MOST = 2  # times that a row of a table may be parsed for one training


def examples(count: int, size: int = 20) -> list[Example]:
    return [Example(f"{i:0{size}}", f"y{i % 3}", Place(Path("t.csv"), i + 2), f"id{i}") for i in range(count)]


def counted(items: list[Example]) -> tuple[Callable[[], Iterator[Example]], list[Example]]:
    """A function that reads these examples, and a list of those that were read."""
    told: list[Example] = []

    def read() -> Iterator[Example]:
        for item in items:
            told.append(item)
            yield item

    return read, told


@pytest.mark.parametrize("count", [0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 1, 3 * TOGETHER + 7])
def test_every_pass_has_the_same_examples_and_they_are_read_once(count: int):
    items = examples(count)
    read, told = counted(items)
    again = read_once(read)
    for _ in range(3):
        assert list(again()) == items
    assert told == items


def test_a_pass_reads_no_further_than_it_goes():
    items = examples(2 * TOGETHER)
    read, told = counted(items)
    again = read_once(read)
    assert list(islice(again(), 3)) == items[:3]
    assert told == items[:3]
    assert list(islice(again(), TOGETHER + 5)) == items[: TOGETHER + 5]
    assert list(again()) == items
    assert told == items


def test_a_pass_goes_on_where_nobody_can_ask_for_another():
    items = examples(3 * TOGETHER)
    found = list(read_once(counted(items)[0])())  # not in the assertion, which keeps all values until its end
    assert found == items


def test_passes_side_by_side_do_not_disturb_each_other():
    items = examples(2 * TOGETHER + 9)
    read, told = counted(items)
    again = read_once(read)
    assert list(zip(again(), islice(again(), 5, None), strict=False)) == list(
        zip(items, items[5:], strict=False)
    )
    assert list(again()) == told == items


def test_large_examples_go_to_the_disk_and_come_back():
    long = examples(6, size=IN_MEMORY // 4)
    numbers = [Example(np.full((CHUNK, 2), float(i)), (1.0,), Place(Path("t.csv"), i)) for i in range(3)]
    read, told = counted([*long, *numbers])
    again = read_once(read)
    for _ in range(2):
        found = list(again())
        assert found[:6] == long
        for one, before in zip(found[6:], numbers, strict=True):
            np.testing.assert_array_equal(one.x, before.x)
            assert replace(one, x=None) == replace(before, x=None)
    assert len(told) == 9


def test_an_error_comes_after_the_examples_before_it_and_again_in_the_next_pass():
    items = examples(5)

    def read() -> Iterator[Example]:
        yield from items
        raise DataError("a bad row", file=Path("t.csv"), line=7)

    again = read_once(read)
    for _ in range(2):
        found: list[Example] = []
        with pytest.raises(DataError, match=r"t\.csv:7: a bad row"):
            for example in again():
                found.append(example)
        assert found == items


def test_where_the_disk_is_full_the_files_are_read_again(monkeypatch: pytest.MonkeyPatch):
    class Full:
        def seek(self, at: int) -> int:
            return at

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr(module.tempfile, "SpooledTemporaryFile", lambda max_size: Full())
    items = examples(2 * TOGETHER + 3)
    read, told = counted(items)
    again = read_once(read)
    assert list(again()) == items
    assert list(again()) == items
    assert told == items * 2


def write_table(path: Path, columns: dict[str, list[Any]]) -> None:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return
    lines = [",".join(columns), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("task", "name"),
    [("classify", "t.csv"), ("classify", "t.jsonl"), ("numbers:label", "t.csv"), ("tokens:number", "t.csv")],
)
def test_a_row_is_parsed_at_most_twice_for_a_training(
    task: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    parsed = 0
    rows, objects = table_files.rows_of_one_width, table_files.json_object

    def count_rows(*arguments: Any, **options: Any) -> Iterator[tuple[int, Any]]:
        nonlocal parsed
        for line, row in rows(*arguments, **options):
            parsed += isinstance(row, list) and MARKED in row
            yield line, row

    def count_objects(text: str) -> dict[str, object]:
        nonlocal parsed
        parsed += MARKED in text
        return objects(text)

    monkeypatch.setattr(table_files, "rows_of_one_width", count_rows)
    monkeypatch.setattr(table_files, "json_object", count_objects)
    texts = [f"text number {i}" for i in range(250)]
    texts[100] = MARKED
    numbers = [i % 7 for i in range(250)]
    y = numbers if task.endswith("number") else ["ab"[i % 2] for i in range(250)]
    columns = {"n": numbers, "note": texts} if task.startswith("numbers") else {"text": texts}
    write_table(tmp_path / name, {**columns, "label": y})
    shape = ("--hidden", "4", "--epochs", "1", "--batch-size", "250")
    assert cli.main(["train", task, str(tmp_path / name), "--out", str(tmp_path / "m"), *shape]) == 0
    assert 1 <= parsed <= MOST
