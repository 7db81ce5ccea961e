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
    """HTML entities as the characters that they stand for; line ends become spaces."""

    def character(found: re.Match[str]) -> str:
        return " ".join(html.unescape(found[0]).splitlines()) or " " if is_entity(found[0]) else found[0]

    return ENTITY.sub(character, text)


def _controls(text: str) -> str:
    """Without control characters and invisible ones."""
    return "".join(c for c in text if not is_control(c) and c not in INVISIBLE)


def _scripts(text: str) -> str:
    """Words of one script, if their letters of the other one look like letters of it."""
    return text if text.isascii() else _WORD.sub(lambda found: _one_script(found[0]), text)


def _one_script(word: str) -> str:
    other = [c for c in word if c in _TO_LATIN]
    rest = [c for c in word if c not in _TO_LATIN]
    if not other or not rest:
        return word
    if all(c.isascii() or "\u00c0" <= c <= "\u024f" for c in rest):
        # Latin, unless most letters are Cyrillic and all Latin ones have a twin there.
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
CASE = "case"  # of labels: as the most frequent spelling has it
NAMES = (CASE, *_TEXTS)


def read_names(text: str | None) -> tuple[str, ...]:
    """The corrections of a `--correct` option, in the order in which they are made; `all` is all of them.

    Raises UsageError for an unknown one.
    """
    if text is None:
        return ()
    asked = {name.strip() for name in text.split(",")}
    for name in sorted(asked - {*NAMES, "all"}):
        expected, hint = ", ".join((*NAMES, "all")), suggest(name, (*NAMES, "all"))
        raise UsageError(f"--correct {name}", expected=expected, hint=hint)
    return NAMES if "all" in asked else tuple(name for name in NAMES if name in asked)


def correction(names: Sequence[str]) -> Callable[[str], str]:
    """A function that makes these corrections in a text; that of case is for labels alone, see `usual_names`."""

    def correct(text: str) -> str:
        for name, change in _TEXTS.items():
            if name in names:
                text = change(text)
        return text

    return correct


def usual_names(counts: Counter[str]) -> Mapping[str, str]:
    """For each label that differs from another in case or white space only, the most frequent spelling."""
    groups: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        groups.setdefault(" ".join(name.split()).casefold(), []).append(name)
    return {name: group[0] for group in groups.values() for name in group[1:]}


def plan_corrections(plan: Plan, labels: TargetStats, names: Sequence[str]) -> None:
    """Put corrections into the plan of the clean copies. labels: what was seen of y in the training part."""
    plan.correct = correct = correction(names)
    if CASE in names and isinstance(labels, LabelSurvey):
        counts = Counter[str]()
        for name, count in labels.counts.items():
            counts[correct(name.strip())] += count
        plan.labels = usual_names(counts)
