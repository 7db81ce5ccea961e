"""Find the kinds (cells, inputs, outputs and readers) that other installed packages provide.

A package registers a kind with an entry point in its pyproject.toml:

    [project.entry-points."unrolled.cells"]
    peephole = "my_cells:PEEPHOLE"

The groups are `unrolled.cells`, `unrolled.inputs`, `unrolled.outputs` and `unrolled.readers`. The name
(`peephole`) is used in options and in model files.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from unrolled.core.errors import MissingExtra, UsageError

T = TypeVar("T")
GROUPS = ("unrolled.cells", "unrolled.inputs", "unrolled.outputs", "unrolled.readers")


class Registry(dict[str, T]):
    """The kinds of a group by name. A kind of another package is loaded when its name is first looked up.

    group: the group of entry points. kind: the class of the kinds. own: the kinds of this package.
    A lookup raises KeyError for an unknown name, and UsageError if the entry point is not a `kind`.
    """

    def __init__(self, group: str, kind: type[T], own: Mapping[str, T]) -> None:
        super().__init__(own)
        self.group, self.kind = group, kind

    def __missing__(self, name: str) -> T:
        loaded = load(self.group, name)
        if loaded is None:
            raise KeyError(name)
        if not isinstance(loaded, self.kind):
            what = f"the entry point '{name}' of {self.group} is {loaded!r:.80}"
            raise UsageError(what, expected=f"{self.kind.__name__} of {self.kind.__module__}")
        self[name] = loaded
        return loaded

    def names(self) -> tuple[str, ...]:
        """Return the names of all kinds, including those of other packages."""
        return tuple(dict.fromkeys((*self, *found(self.group))))

    def has(self, name: str) -> bool:
        """Whether there is a kind with this name. This does not load it."""
        return name in self or name in found(self.group)


@cache
def found(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name. Raises UsageError if two packages use the same name."""
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = points.setdefault(point.name, point)
        if other.value != point.value:
            what = (
                f"{group} has '{point.name}' twice: {other.value} of {_package(other)} and {point.value} of "
            )
            raise UsageError(what + _package(point), expected="one package with that name")
    return points


def load(group: str, name: str) -> object | None:
    """Load the kind with this name from another package; return None if no package has it.

    Raises UsageError if the kind cannot be imported.
    """
    point = found(group).get(name)
    if point is None:
        return None
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        what = f"'{name}' of the package {_package(point)} cannot be imported: {error}"
        raise UsageError(what, expected=f"{point.value} to be importable") from error


def package_of(group: str, name: str) -> str | None:
    """Return the package of a kind as `NAME VERSION`; None if the kind is part of unrolled."""
    point = found(group).get(name)
    return None if point is None else _package(point)


def require(group: str, name: str, package: str) -> None:
    """Raise MissingExtra if a kind that a model file needs is not installed.

    package: the package of the kind, as `NAME VERSION`.
    """
    if name not in found(group):
        kind = group.rpartition(".")[2].removesuffix("s")
        raise MissingExtra(
            f"the {kind} '{name}' comes from the package {package}, which is not installed here",
            hint=f"pip install {package.partition(' ')[0]}",
        )


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
