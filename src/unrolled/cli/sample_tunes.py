"""`unrolled sample` for tunes: write MIDI files and images, and report how much of each tune is copied."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled.core.errors import UsageError, suggest
from unrolled.data.media_formats.instruments import program_of

if TYPE_CHECKING:
    from unrolled.core.types import Tune
    from unrolled.inference.composition import CompositionOptions
    from unrolled.inference.open_model import Predictor
    from unrolled.inference.tune_report import TuneReport


TONICS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


def run(args: argparse.Namespace, model: Predictor) -> int:
    """Compose tunes. For each, write a MIDI file and an SVG image, and print one line or JSON object.

    Raises UsageError if --output is missing, or if a file exists and there is no --force.
    """
    from unrolled.core.atomic_files import refuse_to_overwrite, write_atomically
    from unrolled.data.media.midi import midi_bytes, read_midi
    from unrolled.inference.composition import compose, notes_of
    from unrolled.inference.piano_roll_svg import svg
    from unrolled.inference.tune_report import Known, report

    if args.output is None:
        raise UsageError("no folder for the tunes", expected="--output FOLDER", hint="--output new/")
    sample_options = _wish(args, read_midi(Path(args.prompt)) if args.prompt else None)
    grid = notes_of(model).grid
    names = [
        args.output / f"{number + 1:0{len(str(sample_options.count))}}"
        for number in range(sample_options.count)
    ]
    for name in names:
        for ending in (".mid", ".svg"):
            refuse_to_overwrite(name.with_suffix(ending), force=args.force)
    known = Known(_against(args.against), grid) if args.against else None
    tunes = compose(model, sample_options)
    args.output.mkdir(parents=True, exist_ok=True)
    for name, tune in zip(names, tunes, strict=True):
        found = report(tune, grid, known, sample_options.prompt)
        write_atomically(name.with_suffix(".mid"), midi_bytes(tune))
        title = " ".join(filter(None, (name.name, sample_options.genre, f"seed {sample_options.seed}")))
        write_atomically(name.with_suffix(".svg"), svg(tune, title).encode())
        file = str(name.with_suffix(".mid"))
        record = {"file": file, "genre": sample_options.genre, **found}
        print(json.dumps(record) if args.format == "jsonl" else in_words(file, found), flush=True)
    return 0


def in_words(file: str, record: TuneReport) -> str:
    """Return the report on a tune as one line for people. file: the MIDI file."""
    line = f"{file}: {record['notes']} notes, {record['bars']:g} bars, {record['seconds']:.0f} s"
    if record["loop_times"] > 3:
        line += f"; {record['loop_notes']} notes repeat {record['loop_times']} times in a row"
    if "longest_copy" not in record or "copy_bars" not in record or "copied_share" not in record:
        return line
    many = "none" if not record["longest_copy"] else f"{record['copy_bars']:.1f} bars"
    return (
        f"{line}; longest copy: {record['longest_copy']} notes ({many}), "
        f"copied: {record['copied_share']:.0%} of the 8-note passages"
    )


def _wish(args: argparse.Namespace, prompt: Tune | None) -> CompositionOptions:
    from unrolled.inference.composition import CompositionOptions

    bars, seconds = _length(args.length)
    low, high = _range(args.range)
    return CompositionOptions(
        count=args.count,
        genre=args.genre,
        prompt=prompt,
        bars=bars,
        seconds=seconds,
        low=low,
        high=high,
        scale=_scale(args.key),
        tempo=args.tempo,
        meter=_meter(args.meter),
        program=None if args.instrument is None else program_of(args.instrument),
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=args.seed,
    )


def _length(text: str | None) -> tuple[float | None, float | None]:
    """Return the bars and the seconds of `--length`, one of them None: `16` are bars, `30s` are seconds."""
    if text is None:
        return None, None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s?)", text.strip())
    if found is None:
        raise UsageError(f"--length {text}", expected="bars such as 16, or seconds such as 30s")
    return (None, float(found[1])) if found[2] else (float(found[1]), None)


def _meter(text: str | None) -> tuple[int, int] | None:
    """Return the two numbers of a meter such as `3/4`."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d{1,2})\s*/\s*(\d{1,2})\s*", text)
    if found is None:
        raise UsageError(f"--meter {text}", expected="a meter such as 3/4")
    return int(found[1]), int(found[2])


def _range(text: str | None) -> tuple[int, int]:
    """Return the lowest and the highest MIDI pitch of `C3-A5` or `48-81`. None: 0 to 127."""
    if text is None:
        return 0, 127
    parts = re.fullmatch(r"\s*([^-\s]+-?\d*)\s*-\s*(\S+)\s*", text)
    if parts is None:
        raise UsageError(f"--range {text}", expected="LOW-HIGH, such as C3-A5 or 48-81")
    return _pitch(parts[1]), _pitch(parts[2])


def _pitch(text: str) -> int:
    if text.isdigit():
        return int(text)
    found = re.fullmatch(r"([A-Ga-g])([#b]?)(-?\d)", text)
    if found is None:
        raise UsageError(f"--range: pitch {text!r}", expected="a name such as C4 or Bb3, or a MIDI number")
    return TONICS[found[1].upper()] + {"#": 1, "b": -1, "": 0}[found[2]] + 12 * (int(found[3]) + 1)


def _scale(text: str | None) -> frozenset[int] | None:
    """Return the pitch classes (0 to 11) of a key such as `G`, `G major` or `F# minor`. None: no key."""
    if text is None:
        return None
    found = re.fullmatch(r"([A-Ga-g])([#b]?)\s*(\w*)", text.strip())
    name = (found[3] or "major").lower() if found else ""
    if found is None or name not in SCALES:
        hint = suggest(name, SCALES)
        raise UsageError(f"--key {text}", expected="a key such as 'G major' or 'F# minor'", hint=hint)
    tonic = TONICS[found[1].upper()] + {"#": 1, "b": -1, "": 0}[found[2]]
    return frozenset((tonic + step) % 12 for step in SCALES[name])


def _against(paths: list[Path]) -> tuple[Tune, ...]:
    """Return the tunes of files and folders. A tune that cannot be read is reported on stderr."""
    from unrolled.core.config import build
    from unrolled.datasets.example_source import from_files

    source = from_files(paths, build("compose", {"skip_bad": sys.maxsize}), asked=False)
    from unrolled.core.values.example_values import as_tune

    tunes = tuple(as_tune(example.x) for example in source.examples())
    for line in source.skipped:
        print(f"note: not compared: {line}", file=sys.stderr)
    return tunes
