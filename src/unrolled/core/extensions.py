"""Kinds that other installed packages bring: entry points of the groups `unrolled.cells`, `unrolled.inputs`,
`unrolled.outputs` and `unrolled.readers`.

A package names its kind and where it is: in its pyproject.toml

    [project.entry-points."unrolled.cells"]
    peephole = "my_cells:PEEPHOLE"

The name is that of the kind, as options and model files have it.
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
    """The kinds of a group by their names. One of another package is loaded when its name is looked up first.

    kind: the class of the kinds. Raises KeyError for an unknown name, UsageError for an entry point that is no `kind`.
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
        """The names of all kinds, those of other packages too."""
        return tuple(dict.fromkeys((*self, *found(self.group))))

    def has(self, name: str) -> bool:
        """Whether there is a kind of this name; it is not loaded."""
        return name in self or name in found(self.group)


@cache
def found(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by their names. Raises UsageError if two packages have one name."""
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
    """The kind of this name from another package; None if no package has it. Raises UsageError if it cannot be
    imported."""
    point = found(group).get(name)
    if point is None:
        return None
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        what = f"'{name}' of the package {_package(point)} cannot be imported: {error}"
        raise UsageError(what, expected=f"{point.value} to be importable") from error


def package_of(group: str, name: str) -> str | None:
    """The package that brings a kind, as NAME VERSION; None if it is one of this package."""
    point = found(group).get(name)
    return None if point is None else _package(point)


def require(group: str, name: str, package: str) -> None:
    """Raise MissingExtra, naming the package, if a kind that a model file needs is not installed."""
    if name not in found(group):
        kind = group.rpartition(".")[2].removesuffix("s")
        raise MissingExtra(
            f"the {kind} '{name}' comes from the package {package}, which is not installed here",
            hint=f"pip install {package.partition(' ')[0]}",
        )


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
