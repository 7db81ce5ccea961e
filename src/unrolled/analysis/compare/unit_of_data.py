"""The unit that a comparison of models of texts takes from its data, as training does."""

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
    """The layers of options, with the unit that the data decide if none is asked for; `note` takes what to say of it.

    Raises what the readers raise.
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
