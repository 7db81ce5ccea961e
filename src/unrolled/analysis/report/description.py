"""Describe a model and data files for the page of an evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.values.json_values import as_object
from unrolled.models import model_file
from unrolled.models.model_file import ModelFile
from unrolled.models.spec_in_words import in_words
from unrolled.models.spec_json import from_json
from unrolled.models.tensor_shapes import parameters
from unrolled.tasks.outputs import output_of
from unrolled.tasks.presets import find


@dataclass(frozen=True)
class Description:
    """What was evaluated.

    summary: one line.  model, data: name -> text.  settings: the settings of the training as JSON text.
    """

    summary: str
    model: Mapping[str, str]
    data: Mapping[str, str]
    settings: str


def described(path: Path, data: Sequence[Path]) -> Description:
    """Describe a model file and the data files. Raises the errors of reading them."""
    file = model_file.load(path)
    spec = from_json(file.spec, path)
    network = f"{in_words(spec)}, {parameters(spec):,} parameters"
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    versions = as_object(file.notes.get("versions", {}))
    model = {
        "file": f"{path} ({path.stat().st_size:,} bytes)",
        "SHA-256": digest,
        "task": file.task,
        "network": network,
        **_output(file),
        **_notes(file.notes),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return Description(
        f"task {file.task}: {network}",
        model,
        {str(one): "folder" if one.is_dir() else f"{one.stat().st_size:,} bytes" for one in data},
        json.dumps(dict(file.config), indent=1),
    )


def _output(file: ModelFile) -> dict[str, str]:
    """Return the description of the output; nothing for a language model, whose output is its vocabulary."""
    if find(file.task).stream:
        return {}
    return {"output": output_of(file.task).restore(as_object(file.learnt["output"])).describe()}


def _notes(notes: Mapping[str, object]) -> dict[str, str]:
    """Return the numbers in the notes of a training, such as its steps and its validation loss."""
    return {
        name.replace("_", " "): f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
        for name, value in notes.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
