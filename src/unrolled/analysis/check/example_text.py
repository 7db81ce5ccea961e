"""Format the report of `check` on labelled data as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from unrolled.analysis.check.findings import REMEMBERED, SHOWN, in_quantiles, places
from unrolled.analysis.check.scan import MOST
from unrolled.analysis.check.stats.audio_stats import characters_in_words
from unrolled.analysis.check.stats.audio_stats import in_words as sounds_in_words
from unrolled.analysis.check.stats.report_types import (
    ClassesReport,
    ColumnReport,
    FileReport,
    FixReport,
    NumbersReport,
    PairsReport,
    PartReport,
    Report,
    Share,
    TagsReport,
    YReport,
)
from unrolled.core.terminal import escaped
from unrolled.data.text.tokenize import find_unit
from unrolled.tasks.digits import shown

STATISTICS = ("min", "mean", "max", "deviation")
COLUMNS = 12  # columns of numbers in the text; the JSON has all of them
NAMES = 24  # classes or tags in the text; the JSON has all of them
NUMBERS: Final = "numbers"  # a field of the report, not the input kind of this name
RARE = 6  # if there are more than NAMES, the last RARE of them are the rarest ones


def in_words(report: Report) -> str:
    """Return the report as text."""
    noun = find_unit(report["unit"]).name if report["unit"] else report["steps_are"]
    lines: list[str] = []
    for name, part in report["parts"].items():
        lines += _part_in_words(name, part, noun)
    lines += [f"odd: {line}" for line in report["told"]]
    lines += _x_in_words(report, noun)
    for name, part in report["parts"].items():
        if part["sequences"]:
            lines += _y_in_words(name if len(report["parts"]) > 1 else "", part["y"])
    lines += _bad_rows(report)
    lines += _repeated(report)
    for kind, found in report["odd"].items():
        lines += [f"odd: {kind}: {found['count']:,}", *places(found)]
    if (
        not report["odd"]
        and not report["told"]
        and not report["all_fatal"]
        and any(part["sequences"] for part in report["parts"].values())
    ):
        lines.append("nothing odd")
    lines += _training_in_words(report) if report["training"]["sequences"] else []
    lines += _fatal(report["all_fatal"], fixed="fix" in report)
    if "fix" in report:
        lines += _fix_in_words(report["fix"])
    return escaped("\n".join(lines))


def _part_in_words(name: str, part: PartReport, noun: str) -> list[str]:
    files = part["files"]
    many = f"in {len(files)} files" if len(files) > 1 else f"in {files[0]['file']}"
    if not part["sequences"]:
        return [f"{name}: no readable sequences {many}"]
    spread = in_quantiles(part["steps_a_sequence"])
    return [
        f"{name}: {part['sequences']:,} sequences {many}, {part['steps']:,} {noun}",
        *([f"  {part['times']}"] if "times" in part else []),
        *(f"  {row['file']}: {_rule(row)}" for row in files if row.get("separator", ",") != ","),
        f"  length of a sequence: {spread} (shortest to longest)",
        *sounds_in_words(part),
    ]


def _rule(row: FileReport) -> str:
    """Return as text how a table was read."""
    names = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
    separator = row.get("separator", ",")
    return f"separated by {names.get(separator, separator)}, {row.get('quotes')}"


def _x_in_words(report: Report, noun: str) -> list[str]:
    """Return the lines about x: the vocabulary, or the columns."""
    lines: list[str] = []
    words = report["words"]
    if words is not None:
        once = "" if words["seen_once"] is None else f", {words['seen_once']:,} seen once"
        frequent = " ".join(repr(token) for token in words["most_frequent"])
        lines.append(f"{words['distinct']:,} distinct {noun}{once}; the most frequent: {frequent}")
        vectors = words["vectors"]
        if vectors is not None:
            lines.append(
                f"  {vectors['types']:.1%} of the distinct {noun} and {vectors['tokens']:.1%} of all {noun} have "
                "a pretrained vector"
            )
        if report["subwords"]:
            lines.append("  training splits them into subwords, so no token is unknown")
        else:
            lines.append(f"<UNK> with a vocabulary of {_unknown(words['unknown_share'])}")
        for name, part in report["parts"].items():
            if name != "train" and not report["subwords"]:
                lines.append(f"  in {name}, vocabulary of train: {_unknown(part.get('unknown_share', {}))}")
    columns = report["parts"]["train"].get("columns", [])
    lines += _table_of(columns[:COLUMNS]) if columns else []
    if len(columns) > COLUMNS:
        lines.append(f"  and {len(columns) - COLUMNS:,} more columns")
    return lines


def _table_of(columns: Sequence[ColumnReport]) -> list[str]:
    """Return the statistics of columns of numbers as a table, with remarks on odd columns."""
    table = [("column", *STATISTICS), *map(_statistics, columns)]
    width = max(12, *(len(cell) + 2 for row in table for cell in row))
    rows = [f"  {row[0]:{width}}" + "".join(f"{cell:>{width}}" for cell in row[1:]) for row in table]
    notes = [", ".join(_column_notes(row)) for row in columns]
    return [rows[0], *(f"{row}  {note}".rstrip() for row, note in zip(rows[1:], notes, strict=True))]


def _statistics(row: ColumnReport) -> tuple[str, ...]:
    """Return the name of a column and its statistics, with the digits that its standard deviation needs."""
    precision = row["deviation"] or 0.0
    statistics = (row["min"], row["mean"], row["max"], row["deviation"])
    return (row["column"][:12], *(_number(value, precision) for value in statistics))


def _column_notes(row: ColumnReport) -> list[str]:
    """Return remarks on a column of numbers if it is odd."""
    notes = [f"{row['missing']:,} missing"] * bool(row["missing"])
    notes += ["never changes"] * row["constant"]
    notes += [f"{row['far']:,} far from the mean"] * bool(row["far"])
    notes += [f"{row['long_runs']:,} long runs of one value"] * bool(row["long_runs"])
    return notes + ["only rises: a clock? (exclude it with --columns x=...)"] * row["clock"]


def _number(value: float | None, precision: float) -> str:
    return "?" if value is None else shown(value, precision, least=5)


def _unknown(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{int(size):,}: {share:.2%}" for size, share in shares.items())


def _y_in_words(name: str, y: YReport) -> list[str]:
    """Return the lines about y of a part. A field that only one kind of y has identifies the kind."""
    of = f" in {name}" if name else ""
    if "classes" in y:
        return _classes(y, of)
    if "untranslated" in y:
        return _texts(y, of)
    if NUMBERS in y:
        return _numbers(y, of)
    if "alphabet" in y:
        return [characters_in_words(y, of)]
    if "windows" in y:
        return [f"{y['windows']:,} windows to predict the next steps from{of}"]
    if "scheme" in y:
        return _tags(y, of)
    return [f"target{of}: {y['about']}"] if "about" in y else []


def _classes(y: ClassesReport, of: str) -> list[str]:
    order = " in this order" if y["ordinal"] else ""
    return [f"{len(y['classes']):,} classes{of}{order}: {_names(y['classes'], sort=not y['ordinal'])}"]


def _texts(y: PairsReport, of: str) -> list[str]:
    usual = "" if y["usual_ratio"] is None else f"; median ratio to the length of x: {y['usual_ratio']:.2f}"
    return [f"length of y{of} in characters: {in_quantiles(y['characters'])}{usual}"]


def _numbers(y: NumbersReport, of: str) -> list[str]:
    rows: list[str] = []
    for row in y["numbers"][:NAMES]:
        statistics = (("min", row["min"]), ("mean", row["mean"]), ("max", row["max"]))
        rows.append(
            ", ".join(f"{key} {_number(value, row['deviation'] or 0.0)}" for key, value in statistics)
        )
    return [f"target{of}: " + "; ".join(rows)]


def _tags(y: TagsReport, of: str) -> list[str]:
    scheme = "without spans" if y["scheme"] == "none" else f"marking spans ({y['scheme']})"
    lines = [f"{len(y['tags']):,} tags{of}, {scheme}: {_names(y['tags'], sort=True)}"]
    if y["spans"]:
        spans = ", ".join(f"{kind or 'span'} {count:,}" for kind, count in y["spans"].items())
        lines.append(f"  spans: {spans}")
    return lines


def _names(shares: Mapping[str, Share], *, sort: bool) -> str:
    """Return each name with its count. If there are more than NAMES, return the first ones and the rarest."""
    rows = list(shares.items())
    by_count = sorted(rows, key=lambda row: -row[1]["count"])
    rows = by_count if sort else rows

    def told(some: Sequence[tuple[str, Share]]) -> str:
        return ", ".join(f"{name[:40]} {row['count']:,} ({row['share']:.1%})" for name, row in some)

    if len(rows) <= NAMES:
        return told(rows)
    return f"{told(rows[: NAMES - RARE])} and {len(rows) - NAMES + RARE:,} more, the rarest are " + told(
        by_count[-RARE:]
    )


def _bad_rows(report: Report) -> list[str]:
    lines: list[str] = []
    for name, part in report["parts"].items():
        bad, allowed = part["bad_rows"], report["skip_bad"]
        if bad["count"]:
            most = bad["count"] > MOST * (bad["count"] + part["sequences"])
            advice = f"--skip-bad {bad['count']} skips them"
            advice = "so many bad rows that --columns, --format or --quoting may be wrong" if most else advice
            stops = f"training would stop; {advice}"
            stops = f"skipped, as --skip-bad {allowed} allows" if bad["count"] <= allowed else stops
            lines += [f"bad rows in {name}: {bad['count']:,} ({stops})", *places(bad)]
    return lines


def _repeated(report: Report) -> list[str]:
    lines: list[str] = []
    found = {
        "duplicates in train (same x and same y)": report["duplicates"],
        "conflicts in train (same x, but another y)": report["conflicts"],
        **{f"leak: sequences of {kind}": note for kind, note in report["leaks"].items()},
    }
    for kind, note in found.items():
        if note["count"]:
            lines += [f"{kind}: {note['count']:,} ({note['share']:.1%})", *places(note)]
    if report["remembered"] and lines and report["remembered"] >= REMEMBERED:
        lines.append(f"  compared only with the first {report['remembered']:,} distinct sequences")
    return lines


def _training_in_words(report: Report) -> list[str]:
    plan, baseline = report["training"], report["baseline"]
    held = f"{plan['held_out']:,} more held out for validation" if plan["held_out"] else "none held out"
    held = "and validate on valid" if "valid" in report["parts"] else held
    lines = [f"training would see {plan['sequences']:,} sequences, {held}"]
    if "cell" in plan:
        both = " in both directions" if plan["bidirectional"] else ""
        embedding = f", embedding {plan['embedding']}" if plan["embedding"] else ""
        length = f"{plan['epochs']} epochs" if plan["minutes"] is None else f"{plan['minutes']:g} minutes"
        lines.append(
            f"  with {plan['layers']} x {plan['hidden']} {plan['cell']}{both}{embedding}, "
            f"{plan['batch_size']} sequences per batch, {length}"
        )
    if baseline is not None:
        answer = f" {baseline['answer'][:40]!r}" if isinstance(baseline["answer"], str) else ""
        scores = (
            ("accuracy", ".2%", baseline.get("accuracy")),
            ("exact", ".2%", baseline.get("exact")),
            ("rmse", ".5g", baseline.get("rmse")),
        )
        score = next(f"{name} {value:{form}}" for name, form, value in scores if value is not None)
        lines.append(f"  and has to beat the {baseline['name']}{answer}: {score} on train")
    return lines


def _fatal(reasons: Iterable[str], *, fixed: bool) -> list[str]:
    """Return the lines about the errors with which training would stop.

    fixed: clean copies were written, and the errors are those of the original files.
    """
    every = list(reasons)
    fatal = "fatal without the clean copies" if fixed else "fatal"
    lines = [f"{fatal}: {reason}" for reason in every[:SHOWN]]
    if len(every) > SHOWN:
        lines.append(f"and {len(every) - SHOWN:,} more fatal errors")
    return lines or ["training would start"]


def _fix_in_words(fix: FixReport) -> list[str]:
    """Return the lines about the clean copy of each file."""
    lines: list[str] = []
    for row in fix["files"]:
        if row["copy"] is None:
            lines.append(f"no clean copy of {row['file']}: {row['reason']}")
            continue
        told = (
            (row["bad_rows"], "bad row{} dropped"),
            (row["copies"], "repeated sequence{} dropped"),
            (row["labels"], "label{} stripped"),
            (row["tags"], "tag{} corrected"),
            (row["corrected"], "field{} corrected"),
        )
        done = [f"{count:,} " + text.format("s" * (count != 1)) for count, text in told if count]
        done += [f"{row['encoding']} to UTF-8"] if row["encoding"] else []
        lines.append(f"wrote {row['copy']}: {', '.join(done) or 'nothing to change'}")
    end = (
        f"training on the clean copies would stop: {fix['fatal']}"
        if fix["fatal"]
        else "training on the clean copies would start"
    )
    return [*lines, end]
