"""Build the networks that `compare` trains: every combination of cells, units, depths and directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from unrolled.analysis.compare.benchmarks import Files
from unrolled.core.config import Config, build
from unrolled.core.errors import UsageError
from unrolled.tasks.fill import resolve_data
from unrolled.tasks.inputs import input_of
from unrolled.tasks.outputs import output_of
from unrolled.tasks.presets import find


@dataclass(frozen=True)
class ComparisonOptions:
    """What to compare.

    settings: layers of options for `config.build`, lowest precedence first.
    cells, units, depths, directions, seeds: the values to compare. None: the default of training.
    target: number of parameters of every network. None: the size that training would choose for the variant
    closest to the defaults.
    baselines: run the baselines too.  force: replace runs with other settings.
    """

    task: str
    settings: tuple[Mapping[str, object], ...]
    files: Files
    cells: tuple[str, ...] = ("lstm",)
    units: tuple[str | None, ...] = (None,)
    depths: tuple[int | None, ...] = (None,)
    directions: tuple[str | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    target: int | None = None
    baselines: bool = True
    force: bool = False


@dataclass(frozen=True)
class Variant:
    """A network to train.

    name: for display; has only the values that vary.  folder: name of the folder of its runs; has all values.
    """

    name: str
    folder: str
    config: Config
    settings: Mapping[str, object] = field(default_factory=dict[str, object])


def variants(options: ComparisonOptions) -> list[Variant]:
    """Return every combination of the values. Raises UsageError if a value is impossible for the task."""
    preset = find(options.task)
    if preset.kinds == "numbers:next":
        raise UsageError(
            "compare does not support numbers:next",
            hint="numbers:number with --horizon 1, which is the same task",
        )
    if output_of(options.task).decoder:
        raise UsageError(
            f"compare does not support {options.task}",
            hint="unrolled train, then unrolled evaluate",
        )
    if options.units != (None,) and not (
        input_of(options.task).content.words and not output_of(options.task).asks.each
    ):
        raise UsageError("--units are for texts", hint="without --units: these inputs have fixed steps")
    if output_of(options.task).ahead and "both" in options.directions:
        what = "a model that reads in both directions would see the next step, which it is to predict"
        raise UsageError(what, hint="--directions one")
    found: list[Variant] = []
    for unit in options.units:
        for depth in options.depths:
            for direction in options.directions:
                for cell in options.cells:
                    found.append(_variant(options, cell, unit, depth, direction))
    return found


def _variant(
    options: ComparisonOptions,
    cell: str,
    unit: str | None,
    depth: int | None,
    direction: str | None,
) -> Variant:
    both = None if direction is None else direction == "both"
    varied = {"cell": cell, "unit": unit, "layers": depth, "bidirectional": both}
    given = {name: value for name, value in varied.items() if value is not None}
    config = resolve_data(build(options.task, *options.settings, given))
    layers, reads_both = config.model.layers or 1, bool(config.model.bidirectional)
    ways = "both directions" if reads_both else "one direction"
    depths = f"{layers} layer" + ("s" if layers > 1 else "")
    told = [cell, f"by {config.data.unit}" if len(options.units) > 1 else ""]
    told += [
        depths if len(options.depths) > 1 else "",
        ways if len(options.directions) > 1 else "",
    ]
    settings = {"cell": cell, "unit": config.data.unit, "layers": layers, "bidirectional": reads_both}
    folder = "-".join([cell, config.data.unit or "numbers", str(layers), "both" if reads_both else "one"])
    return Variant(", ".join(filter(None, told)), folder, config, settings)
