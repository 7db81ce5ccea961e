"""The model file: everything that a trained model needs, in one checked safetensors file.

A safetensors file (core/tensor_file.py describes its bytes). Its document holds the task, the description of the
network, the configuration of the training, what was learned from the data (the vocabulary) and notes (metrics,
versions). A file with an unknown key is rejected, so a new key raises the format version.
No pickle: opening a file runs nothing of it. Files of all formats open in every later release. A network of format 1 is
translated when its file is read (format_1.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unrolled.core import extensions, tensor_file
from unrolled.core.atomic_files import refuse_to_overwrite, write_atomically
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Array
from unrolled.core.values.json_values import as_object, as_plain
from unrolled.models.format_1 import network_of_format_1
from unrolled.models.spec_json import to_json

KIND = "model"
FORMAT_VERSION = 2
DTYPE = np.dtype(np.float32)  # of every weight


@dataclass(frozen=True, eq=False)
class ModelFile:
    """What a model file holds. All but `tensors` is plain JSON: dicts with string keys, lists, strings, numbers.

    task: a preset or INPUT:OUTPUT.  spec: the network.  learnt: what was learnt from data (vocabulary).
    config: how it was trained.  notes: metrics, versions.  tensors: name -> array, read-only when loaded;
    the names are those of the network's parameters (`embedding.E`, `core.0.forward.W_c`, `head.W_ya` ...).
    """

    task: str
    spec: Mapping[str, object]
    learnt: Mapping[str, object]
    config: Mapping[str, object]
    notes: Mapping[str, object]
    tensors: Mapping[str, Array]


def save(path: Path, model: ModelFile, *, force: bool = False) -> None:
    """Write `model` to `path` exactly as given, as a whole or not at all, durable when this returns.

    The same model gives the same bytes. Raises UsageError where `path` exists and `force` is off,
    NonFiniteError for a NaN or infinite weight, StorageError where the disk refuses (the old file intact).
    """
    path = Path(path)
    refuse_to_overwrite(path, force=force)
    document = {
        "task": model.task,
        "spec": dict(model.spec),
        "learnt": dict(model.learnt),
        "config": dict(model.config),
        "notes": dict(model.notes),
    }
    write_atomically(path, *tensor_file.pack(KIND, FORMAT_VERSION, document, model.tensors))


def load(path: Path) -> ModelFile:
    """Read a model file, every byte of it verified; the tensors are read-only views of one buffer.

    Raises DataError (damaged, naming the tensor or `header`; newer; of another program, naming its format),
    UsageError (no such file), StorageError (the disk cannot read it).
    """
    path = Path(path)
    if path.is_dir():
        hint = f"{path.with_suffix('')}" if path.suffix == ".run" else None
        raise UsageError("is a folder, not a model file", file=path, hint=hint)
    document, tensors = tensor_file.read(path, KIND, FORMAT_VERSION)
    expected = {"format": int, "task": str, "spec": dict, "learnt": dict, "config": dict, "notes": dict}
    for key in expected | document:
        if type(document.get(key)) is not expected.get(key):
            there = "is not as a model file has it" if key in document else "is missing"
            raise tensor_file.damaged(f"header: '{key[:80]}' {there}", path)
    spec, learnt, config, notes = (as_object(document[key]) for key in ("spec", "learnt", "config", "notes"))
    if document["format"] == 1:
        spec = to_json(network_of_format_1(spec, path))
    require_packages(notes.get("packages"), path)
    return ModelFile(as_plain(str, document["task"]), spec, learnt, config, notes, tensors)


def packages_of(kinds: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The packages that bring these kinds, by "GROUP NAME"; kinds of this package are left out.

    kinds: group of entry points and name.
    """
    found = {f"{group} {name}": extensions.package_of(group, name) for group, name in kinds}
    return {key: package for key, package in found.items() if package is not None}


def require_packages(needed: object, file: Path) -> None:
    """Raise MissingExtra if a package is not installed that brings a kind that a model needs.

    needed: what `packages_of` gave when the model was written, None: nothing. Raises DataError if it is damaged.
    """
    if needed is None:
        return
    if not isinstance(needed, dict) or not all(isinstance(package, str) for package in needed.values()):
        raise DataError("the list of packages that the model needs is damaged", file=file)
    for key, package in needed.items():
        group, _, name = str(key).partition(" ")
        if group not in extensions.GROUPS:
            raise DataError(
                f"the model needs a kind of '{group[:80]}'",
                file=file,
                expected=" or ".join(extensions.GROUPS),
            )
        extensions.require(group, name, package)


def expect_tensors(model: ModelFile, shapes: Mapping[str, tuple[int, ...]], file: Path) -> None:
    """Raise DataError with the exact mismatch where the tensors are not those the network asks for.

    shapes: the name and shape of every parameter of the network that `model.spec` describes; all are float32.
    """
    missing, extra = (
        sorted(shapes.keys() - model.tensors.keys()),
        sorted(model.tensors.keys() - shapes.keys()),
    )
    if missing or extra:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(extra)}"] * bool(
            extra
        )
        raise DataError(f"does not fit its own specification: it {' and '.join(parts)}", file=file)
    for name, shape in shapes.items():
        found, dtype = model.tensors[name].shape, model.tensors[name].dtype
        if dtype != DTYPE:
            raise DataError(f"tensor '{name}' is {dtype}", file=file, expected=f"{DTYPE}")
        if found != tuple(shape):
            what = f"does not fit its own specification: tensor '{name}' is {list(found)}"
            raise DataError(what, file=file, expected=f"{list(shape)}")
