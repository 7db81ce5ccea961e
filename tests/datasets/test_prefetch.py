"""Files that the cache has no room for are opened again, one batch ahead of the batch that is asked for."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.core.errors import DataError
from unrolled.core.types import Place
from unrolled.datasets.example_batches import ExampleEpoch, batches_by_length
from unrolled.datasets.example_store import EncodedExample, Examples, write_examples
from unrolled.datasets.fingerprint import fingerprint
from unrolled.datasets.prefetch import FilePrefetcher

PLACE = Place(Path("a.csv"), 2)
NONE = np.zeros(0, np.bool_)


def opening(path: Path, place: Place) -> Any:
    assert threading.current_thread() is not threading.main_thread(), "nobody waits for a file to be opened"
    return np.load(path)


def examples(folder: Path, lengths: list[int]) -> tuple[Examples, FilePrefetcher]:
    """Sequences of these lengths that are not in the cache, and the function that opens them again."""
    rows: list[EncodedExample] = []
    for number, length in enumerate(lengths):
        path = folder / f"{number}.npy"
        np.save(path, np.full((length, 2), number, np.float32))
        rows.append(EncodedExample(np.load(path), np.array(number), replace(PLACE, line=number + 2), path))
    found = write_examples(folder / "data", iter(rows), targets="one", room=0, opening=opening)
    assert found.recall is not None
    return found, found.recall


def waiting(recall: FilePrefetcher) -> list[int]:
    """The sequences that are being opened and that nobody has taken yet."""
    return sorted(recall._waiting)


def test_the_files_of_the_next_training_batch_are_opened_ahead(tmp_path: Path):
    found, recall = examples(tmp_path, [3] * 10)
    epoch = ExampleEpoch(found, 3, 0, 0, NONE)
    order = [batch.places.tolist() for batch in epoch]
    assert len(order) == 4
    for index in (0, 1, 2, 3, 0):
        assert epoch[index].places.tolist() == order[index]
        assert waiting(recall) == (sorted(order[index + 1]) if index < 3 else [])


def test_the_files_of_the_next_validation_batch_are_opened_ahead(tmp_path: Path):
    found, recall = examples(tmp_path, [1, 2, 3, 4, 5])
    ahead = [(numbers.tolist(), waiting(recall)) for _, numbers in batches_by_length(found, 2)]
    assert ahead == [([0, 1], [2, 3]), ([2, 3], [4]), ([4], [])]


def small_recall(folder: Path, starts: list[int]) -> tuple[FilePrefetcher, Counter[int]]:
    """Files of 1, 2, 3 ... steps, and how often each was opened."""
    opened: Counter[int] = Counter()
    sources: dict[int, tuple[Path, str]] = {}
    for number in range(len(starts)):
        path = folder / f"{number}.npy"
        np.save(path, np.full((number + 1, 2), number))
        sources[number] = (path, fingerprint([path]))

    def counted(path: Path, place: Place) -> Any:
        opened[int(path.stem)] += 1
        return np.load(path)

    return FilePrefetcher(np.array(starts, np.int64), sources, counted), opened


def test_what_is_no_longer_expected_is_forgotten(tmp_path: Path):
    recall, _ = small_recall(tmp_path, [-1, -1, -1])
    recall.expect([(0, PLACE), (1, PLACE)])
    assert waiting(recall) == [0, 1]
    recall.expect([(1, PLACE), (2, PLACE)])
    assert waiting(recall) == [1, 2]
    assert recall.take(0, PLACE, 1).tolist() == [[0, 0]], "it is opened when it is asked for"


def test_a_file_is_opened_once_however_often_it_is_expected(tmp_path: Path):
    recall, opened = small_recall(tmp_path, [-1, -1])
    for _ in range(3):
        recall.expect([(1, PLACE)])
    assert recall.take(1, PLACE, 2).tolist() == [[1, 1], [1, 1]]
    assert opened == {1: 1} and waiting(recall) == []


def test_what_is_on_disk_is_not_opened_ahead(tmp_path: Path):
    recall, _ = small_recall(tmp_path, [0, -1, 1])
    recall.expect([(0, PLACE), (1, PLACE), (2, PLACE)])
    assert waiting(recall) == [1]


def test_a_file_of_another_length_is_an_error(tmp_path: Path):
    recall, _ = small_recall(tmp_path, [-1])
    with pytest.raises(DataError, match=r"0\.npy: has 1 steps, and had 1,500 when training began"):
        recall.take(0, PLACE, 1500)
