"""Choose the unit (word or character) of a comparison from the data, as training does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from unrolled.core.config import build
from unrolled.datasets.example_source import from_files
from unrolled.tasks.fill import resolve_data, undecided
from unrolled.tasks.text_unit import decided


def with_unit(
    task: str, settings: tuple[Mapping[str, object], ...], data: Sequence[Path], note: Callable[[str], None]
) -> tuple[Mapping[str, object], ...]:
    """Return the layers of options. If they set no unit and the data decide it, add a layer with this unit.

    note: receives each message about this decision. Raises the errors of the readers.
    """
    asked = build(task, *settings)
    filled = resolve_data(asked)
    blank = undecided(asked, filled)
    if blank == filled:
        return settings
    config, told = decided(blank, filled, from_files(data, filled).examples())
    for line in told:
        note(line)
    return (*settings, {"unit": config.data.unit}) if told else settings
