"""Choose the number of steps that the forecasts of a comparison read from the data, as training does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from unrolled.core.config import build
from unrolled.datasets.example_source import with_columns, with_history
from unrolled.tasks.fill import resolve_data


def with_chosen_history(
    task: str, settings: tuple[Mapping[str, object], ...], data: Sequence[Path], note: Callable[[str], None]
) -> tuple[Mapping[str, object], ...]:
    """Return the layers of options. If they ask for forecasts without `history`, add a layer with it.

    note: receives the message about this decision. Raises the errors of the readers.
    """
    config = resolve_data(build(task, *settings))
    if not config.data.horizon:
        return settings
    config, told = with_history(data, with_columns(data, config))
    for line in told:
        note(line)
    return (*settings, {"history": config.data.history}) if told else settings
