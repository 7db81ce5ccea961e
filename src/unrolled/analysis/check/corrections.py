"""Correct texts and labels (`check --fix --correct`): case, HTML entities, control characters, scripts."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from unrolled.analysis.check.cleaning import Plan
from unrolled.analysis.check.odd_characters import CYRILLIC, ENTITY, GREEK, INVISIBLE, is_control, is_entity
from unrolled.analysis.check.stats.target_stats import LabelSurvey, TargetStats
from unrolled.core.errors import UsageError, suggest

_WORD = re.compile(r"[^\W\d_]{2,}")
_TO_LATIN = CYRILLIC | GREEK
_TO_CYRILLIC = {latin: cyrillic for cyrillic, latin in CYRILLIC.items()}


def _entities(text: str) -> str:
    """Replace HTML entities by their characters. Entities of line ends become spaces."""

    def character(found: re.Match[str]) -> str:
        return " ".join(html.unescape(found[0]).splitlines()) or " " if is_entity(found[0]) else found[0]

    return ENTITY.sub(character, text)


def _controls(text: str) -> str:
    """Remove control characters and invisible characters."""
    return "".join(c for c in text if not is_control(c) and c not in INVISIBLE)


def _scripts(text: str) -> str:
    """Rewrite each word that mixes scripts in one script, if its foreign letters have look-alikes there."""
    return text if text.isascii() else _WORD.sub(lambda found: _one_script(found[0]), text)


def _one_script(word: str) -> str:
    other = [c for c in word if c in _TO_LATIN]
    rest = [c for c in word if c not in _TO_LATIN]
    if not other or not rest:
        return word
    if all(c.isascii() or "\u00c0" <= c <= "\u024f" for c in rest):
        # The word becomes Latin, unless most letters are Cyrillic or Greek and each Latin letter has a
        # Cyrillic twin.
        turns = len(other) > len(rest) and all(c in _TO_CYRILLIC for c in rest)
        table = _TO_CYRILLIC if turns else _TO_LATIN
        return "".join(table.get(c, c) for c in word)
    if all("\u0400" <= c <= "\u052f" or c in _TO_CYRILLIC for c in rest):
        return "".join(_TO_CYRILLIC.get(c, c) for c in word)
    return word


_TEXTS: dict[str, Callable[[str], str]] = {
    "entities": _entities,
    "controls": _controls,
    "scripts": _scripts,
}
CASE = "case"  # labels only: use the case of the most frequent spelling
NAMES = (CASE, *_TEXTS)


def read_names(text: str | None) -> tuple[str, ...]:
    """Return the corrections of a `--correct` option, in the order in which they are applied.

    `all` means all corrections.

    Raises UsageError if a name is unknown.
    """
    if text is None:
        return ()
    asked = {name.strip() for name in text.split(",")}
    for name in sorted(asked - {*NAMES, "all"}):
        expected, hint = ", ".join((*NAMES, "all")), suggest(name, (*NAMES, "all"))
        raise UsageError(f"--correct {name}", expected=expected, hint=hint)
    return NAMES if "all" in asked else tuple(name for name in NAMES if name in asked)


def correction(names: Sequence[str]) -> Callable[[str], str]:
    """Return a function that applies these corrections to a text.

    It ignores `case`, which is only for labels: see `usual_names`.
    """

    def correct(text: str) -> str:
        for name, change in _TEXTS.items():
            if name in names:
                text = change(text)
        return text

    return correct


def usual_names(counts: Counter[str]) -> Mapping[str, str]:
    """Map labels to the most frequent spelling among the labels that differ only in case or white space.

    Labels that need no change are not in the mapping.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        groups.setdefault(" ".join(name.split()).casefold(), []).append(name)
    return {name: group[0] for group in groups.values() for name in group[1:]}


def plan_corrections(plan: Plan, labels: TargetStats, names: Sequence[str]) -> None:
    """Put the corrections into the plan of the clean copies. labels: statistics of y in the training set."""
    plan.correct = correct = correction(names)
    if CASE in names and isinstance(labels, LabelSurvey):
        counts = Counter[str]()
        for name, count in labels.counts.items():
            counts[correct(name.strip())] += count
        plan.labels = usual_names(counts)
