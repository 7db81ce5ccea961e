"""Run the baselines of a task. If a baseline fails, the others still run.

The answers are kept in a file, so that a resumed comparison does not compute them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from unrolled.analysis.baselines import BASELINES, Run
from unrolled.analysis.baselines.forecast import ridge_windows, seasonal_windows
from unrolled.core.atomic_files import write_atomically
from unrolled.core.errors import MissingExtra, UnrolledError
from unrolled.core.types import Example
from unrolled.core.values.json_values import as_list, as_number, as_object


@dataclass(frozen=True)
class BaselineResult:
    """Answers of a baseline on the scored set, in order.

    answers: None if it could not run; the note then has the reason.  seconds: time for training and answers.
    """

    name: str
    answers: Sequence[object] | None
    seconds: float
    note: str = ""


Baselines = Mapping[str, Callable[[], BaselineResult]]  # the key is a short, stable name of the baseline


def of_examples(
    kinds: str,
    horizon: int | None,
    train: Callable[[], Iterator[Example]],
    scored: Sequence[Example],
    *,
    own: bool = False,
) -> Baselines:
    """Return the baselines of a task.

    kinds: INPUT:OUTPUT.  horizon: for a forecast, the number of steps in y; else None.
    own: whether the columns of y are named. They may not be among those of x, so there is no seasonal baseline.
    train: the training set; it is read when the first baseline runs, and then kept in memory.
    """
    runs: dict[str, Run] = {run.__name__: run for run in BASELINES.get(kinds, ())}
    if horizon:
        runs.pop("ridge_last", None)
        runs["ridge_windows"] = ridge_windows
    if horizon and not own:
        runs["seasonal"] = partial(seasonal_windows, horizon=horizon)
    once = cache(lambda: tuple(train()))
    return {name: partial(_run, run, once, scored) for name, run in runs.items()}


def _run(run: Run, train: Callable[[], Sequence[Example]], scored: Sequence[Example]) -> BaselineResult:
    found = run(train(), scored, 0)
    return BaselineResult(
        found.name, [_plain(answer) for answer in found.predictions], found.seconds, found.note
    )


def _plain(answer: object) -> object:
    """Return an answer as a JSON value."""
    match answer:
        case np.ndarray():
            return answer.tolist()
        case tuple():
            return list(answer)
        case _:
            return answer


def run_baselines(baselines: Baselines, file: Path, key: Mapping[str, object]) -> Iterator[BaselineResult]:
    """Run each baseline. Use the answers in `file` instead if it has them under the same key.

    If a baseline fails, its result has the reason, and it runs again next time. The others still run.
    """
    kept = _read(file, key)
    for name, run in baselines.items():
        if name in kept:
            yield _restored(as_object(kept[name]))
            continue
        try:
            baseline = run()
        except MissingExtra as error:
            yield BaselineResult(_titled(name), None, 0.0, f"not installed: {error.hint}")
            continue
        except UnrolledError as error:
            yield BaselineResult(_titled(name), None, 0.0, str(error))
            continue
        except Exception as error:  # other packages raise errors of any type; continue without this baseline
            reason = " ".join(str(error).split())
            yield BaselineResult(_titled(name), None, 0.0, f"{type(error).__name__}: {reason[:200]}")
            continue
        kept[name] = asdict(baseline)
        write_atomically(file, json.dumps({"key": dict(key), "baselines": kept}).encode())
        yield baseline


def _restored(value: Mapping[str, object]) -> BaselineResult:
    """Return a baseline result from its JSON values."""
    answers = None if value["answers"] is None else as_list(value["answers"])
    return BaselineResult(str(value["name"]), answers, as_number(value["seconds"]), str(value["note"]))


def _titled(name: str) -> str:
    return name.replace("_", " ")


def _read(file: Path, key: Mapping[str, object]) -> dict[str, object]:
    """Return the results in the file; none if the file is missing, is damaged, or has another key."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return content["baselines"] if content["key"] == json.loads(json.dumps(dict(key))) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
