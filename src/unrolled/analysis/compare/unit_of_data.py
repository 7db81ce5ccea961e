"""The unit that a comparison of models of texts takes from its data, as training does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unrolled.core.config import build
from unrolled.datasets.example_source import from_files
from unrolled.datasets.text_unit import decided
from unrolled.tasks.fill import resolve_data, undecided


def unit_of_data(
    task: str, settings: Sequence[Mapping[str, Any]], data: Sequence[Path]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The options to add, and what to say of them: none where a unit is asked for, or words suit the texts.

    settings: the layers of options so far. Raises what the readers raise.
    """
    asked = build(task, *settings)
    filled = resolve_data(asked)
    if undecided(asked, filled) == filled:
        return {}, ()
    config, told = decided(undecided(asked, filled), filled, from_files(data, filled).examples())
    return ({"unit": config.data.unit} if told else {}), told
