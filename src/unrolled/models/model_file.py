"""The model file: everything that a trained model needs, in one checked safetensors file.

core/tensor_file.py describes the bytes of the file. Its JSON document contains the task, the description of
the network, the configuration of the training, the results of fitting to the data (such as the vocabulary)
and notes (metrics, versions). A file with an unknown key is rejected. A new key needs a new format version.

There is no pickle in it: opening a file never runs code from it. Every later release can open files of all
earlier formats. format_1.py converts the network of a file of format 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from unrolled.core import extensions, tensor_file
from unrolled.core.atomic_files import refuse_to_overwrite, write_atomically
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Array
from unrolled.core.values.json_values import as_object, as_plain
from unrolled.models.format_1 import network_of_format_1
from unrolled.models.spec_json import to_json
from unrolled.models.tensor_shapes import dtype_of

KIND = "model"
FORMAT_VERSION = 3  # 3: a wide part, and pretrained word vectors as float16


@dataclass(frozen=True, eq=False)
class ModelFile:
    """The content of a model file.

    All fields except `tensors` are plain JSON: dicts with string keys, lists, strings, numbers.
    task: a preset or INPUT:OUTPUT.
    spec: the description of the network.
    learnt: the results of fitting to the data, such as the vocabulary.
    config: the configuration of the training.
    notes: metrics, versions.
    tensors: name -> array, read-only after loading. The names are the parameters of the network
    (`embedding.E`, `core.0.forward.W_c`, `head.W_ya` ...).
    """

    task: str
    spec: Mapping[str, object]
    learnt: Mapping[str, object]
    config: Mapping[str, object]
    notes: Mapping[str, object]
    tensors: Mapping[str, Array]


def save(path: Path, model: ModelFile, *, force: bool = False) -> None:
    """Write `model` to `path` atomically. The file is safely on disk when this returns.

    The same model gives the same bytes. Raises UsageError if `path` exists and `force` is false,
    NonFiniteError for a NaN or infinite weight, and StorageError if the disk refuses to write (an old file
    stays as it was).
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
    """Read a model file and verify every byte. The tensors are read-only views of one buffer.

    Raises:

    * DataError for a damaged file (it names the tensor or `header`), a file of a newer version, or a file of
      another program (it names the format).
    * UsageError if there is no such file, or if `path` is a folder.
    * MissingExtra if a package that the model needs is not installed.
    * StorageError if the disk cannot read the file.
    """
    path = Path(path)
    if path.is_dir():
        hint = f"{path.with_suffix('')}" if path.suffix == ".run" else None
        raise UsageError("is a folder, not a model file", file=path, hint=hint)
    document, tensors = tensor_file.read(path, KIND, FORMAT_VERSION)
    expected = {"format": int, "task": str, "spec": dict, "learnt": dict, "config": dict, "notes": dict}
    for key in expected | document:
        if type(document.get(key)) is not expected.get(key):
            there = "is unknown or has the wrong type" if key in document else "is missing"
            raise tensor_file.damaged(f"header: '{key[:80]}' {there}", path)
    spec, learnt, config, notes = (as_object(document[key]) for key in ("spec", "learnt", "config", "notes"))
    if document["format"] == 1:
        spec = to_json(network_of_format_1(spec, path))
    require_packages(notes.get("packages"), path)
    return ModelFile(as_plain(str, document["task"]), spec, learnt, config, notes, tensors)


def packages_of(kinds: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the packages that provide these kinds, by "GROUP NAME". Kinds of this package are left out.

    kinds: for each kind, the group of entry points and the name.
    """
    found = {f"{group} {name}": extensions.package_of(group, name) for group, name in kinds}
    return {key: package for key, package in found.items() if package is not None}


def require_packages(needed: object, file: Path) -> None:
    """Raise MissingExtra if a model needs a kind of a package that is not installed.

    needed: the result of `packages_of` when the model was written, or None.

    Raises DataError if `needed` is damaged.
    """
    if needed is None:
        return
    if not isinstance(needed, dict) or not all(isinstance(package, str) for package in needed.values()):
        raise DataError("the list of packages that the model needs is damaged", file=file)
    for key, package in needed.items():
        group, _, name = str(key).partition(" ")
        if group not in extensions.GROUPS:
            raise DataError(
                f"the model needs a kind of the unknown group '{group[:80]}'",
                file=file,
                expected=" or ".join(extensions.GROUPS),
            )
        extensions.require(group, name, package)


def expect_tensors(tensors: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], file: Path) -> None:
    """Raise DataError, which names the exact difference, if the tensors do not match `shapes`.

    shapes: the name and shape of every parameter of the network that the file describes.
    Their types: `dtype_of`.
    """
    missing, extra = (
        sorted(shapes.keys() - tensors.keys()),
        sorted(tensors.keys() - shapes.keys()),
    )
    if missing or extra:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(extra)}"] * bool(
            extra
        )
        raise DataError(f"does not match its own description: it {' and '.join(parts)}", file=file)
    for name, shape in shapes.items():
        found, dtype = tensors[name].shape, tensors[name].dtype
        if dtype != dtype_of(name):
            raise DataError(f"tensor '{name}' is {dtype}", file=file, expected=f"{dtype_of(name)}")
        if found != tuple(shape):
            what = f"does not match its own description: tensor '{name}' is {list(found)}"
            raise DataError(what, file=file, expected=f"{list(shape)}")
