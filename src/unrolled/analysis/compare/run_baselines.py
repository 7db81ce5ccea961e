"""Run the baselines of a task; a baseline that fails does not stop the others.

What a baseline answered is kept in a file, so that a comparison that goes on does not compute it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from unrolled.analysis.baselines import BASELINES, Run
from unrolled.analysis.baselines.forecast import seasonal_windows
from unrolled.core.atomic_files import write_atomically
from unrolled.core.errors import MissingExtra, UnrolledError
from unrolled.core.types import Example
from unrolled.core.values.json_values import as_list, as_number, as_object


@dataclass(frozen=True)
class BaselineResult:
    """What a baseline answered to the scored part, in order; None where it could not run, which the note explains."""

    name: str
    answers: Sequence[object] | None
    seconds: float
    note: str = ""


Rivals = Mapping[str, Callable[[], BaselineResult]]  # by a short name that stays the same


def of_examples(
    kinds: str, horizon: int | None, train: Callable[[], Iterator[Example]], scored: Sequence[Example]
) -> Rivals:
    """The baselines of a task (INPUT:OUTPUT); horizon: of a forecast, whose y is that many steps of all numbers.

    train: the training part, read when the first of them runs, and then held in memory.
    """
    runs: dict[str, Run] = {run.__name__: run for run in BASELINES.get(kinds, ())}
    if horizon:
        runs["seasonal"] = partial(seasonal_windows, horizon=horizon)
    once = cache(lambda: tuple(train()))
    return {name: partial(_run, run, once, scored) for name, run in runs.items()}


def _run(run: Run, train: Callable[[], Sequence[Example]], scored: Sequence[Example]) -> BaselineResult:
    found = run(train(), scored, 0)
    return BaselineResult(
        found.name, [_plain(answer) for answer in found.predictions], found.seconds, found.note
    )


def _plain(answer: object) -> object:
    """An answer as JSON has it."""
    match answer:
        case np.ndarray():
            return answer.tolist()
        case tuple():
            return list(answer)
        case _:
            return answer


def run_baselines(rivals: Rivals, file: Path, key: Mapping[str, object]) -> Iterator[BaselineResult]:
    """Run each, or take what it answered before, where `file` was written under the same key.

    A baseline that fails is reported with its reason and run again the next time. The others still run.
    """
    kept = _read(file, key)
    for name, run in rivals.items():
        if name in kept:
            yield _restored(as_object(kept[name]))
            continue
        try:
            rival = run()
        except MissingExtra as error:
            yield BaselineResult(_titled(name), None, 0.0, f"not installed: {error.hint}")
            continue
        except UnrolledError as error:
            yield BaselineResult(_titled(name), None, 0.0, str(error))
            continue
        except Exception as error:  # another package's, of any kind: the comparison goes on without it
            reason = " ".join(str(error).split())
            yield BaselineResult(_titled(name), None, 0.0, f"{type(error).__name__}: {reason[:200]}")
            continue
        kept[name] = asdict(rival)
        write_atomically(file, json.dumps({"key": dict(key), "rivals": kept}).encode())
        yield rival


def _restored(value: Mapping[str, object]) -> BaselineResult:
    """What was written of a baseline."""
    answers = None if value["answers"] is None else as_list(value["answers"])
    return BaselineResult(str(value["name"]), answers, as_number(value["seconds"]), str(value["note"]))


def _titled(name: str) -> str:
    return name.replace("_", " ")


def _read(file: Path, key: Mapping[str, object]) -> dict[str, object]:
    """What was kept; nothing where the file is missing, damaged or of another key."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return content["rivals"] if content["key"] == json.loads(json.dumps(dict(key))) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
