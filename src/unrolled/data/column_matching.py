"""Find the columns of a table: the requested columns, or the columns with the usual names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.data.column_kinds import Kinds
from unrolled.data.read_request import ReadRequest

PAIRS = (  # usual column names of translation pairs: source, target
    ("source", "src", "text", "sentence", "x"),
    ("target", "trg", "tgt", "translation", "y"),
)
# Words in the names of such columns (`target_text`, `question`). Used if no column has a usual name.
PAIR_WORDS = (
    frozenset(
        (
            *("source", "src", "input", "inputs", "original", "question", "query", "prompt", "instruction"),
            *("document", "article", "from"),
        )
    ),
    frozenset(
        (
            *("target", "trg", "tgt", "translation", "translated", "output", "outputs", "answer", "response"),
            *("reply", "completion", "summary", "to"),
        )
    ),
)
ID = ("id",)


@dataclass(frozen=True)
class ColumnIndices:
    """The columns of one table, as indices from 0.

    If the table has no column y, y is (). If it has no column id, by or time, that field is None.
    """

    x: tuple[int, ...]
    y: tuple[int, ...]
    id: int | None
    by: int | None
    time: int | None = None

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices of all columns that are read."""
        return iter((*self.x, *self.y, *(i for i in (self.id, self.by, self.time) if i is not None)))


def find_columns(
    names: Sequence[str], wanted: ReadRequest, kinds: Callable[[], Kinds], file: Path, line: int | None
) -> ColumnIndices:
    """Find the requested columns in a table with these column names.

    kinds: returns the kinds of the columns; called only if needed.
    line: line number of the header; None without a header.

    Defaults for columns that are not requested:
    - x, if it is not numbers: the first usual name of its kind (kinds.py) in the table; case is ignored.
    - x, if it is numbers: all columns of numbers except y, id, by and the default column of y.
    - y: the first usual name of its kind in the table. For `next`, y is the
      next step of x, unless y is requested.
    - id: the column `id`.
    - time, for numbers only: the first unused column of time stamps.

    In prediction (`wanted.asked` is False, or there is no target), only x is required. If the requested
    column `by` is missing there, each row is one sequence; for numbers, all rows are one sequence.

    Raises DataError with the table's column names if a required column is missing or ambiguous. Raises
    UsageError if one column has two roles.
    """
    names_of = _Names(names, file, line)
    x = tuple(map(names_of.position, wanted.x))
    asked = wanted.asked and wanted.target is not None
    content, asks = wanted.content, wanted.asks
    numbers = content.numeric

    def single(name: str | None) -> int | None:
        there = name is not None and (asked or _spelt(name, names) is not None)
        return names_of.position(name) if there and name is not None else None

    by = single(wanted.by)
    number = names_of.default(ID, {*x, by}) if wanted.id is None else single(wanted.id)
    taken = {number, by}
    if wanted.is_pair:
        x, y = _pair(names_of, x, tuple(map(names_of.position, wanted.y)), taken)
    elif wanted.y and (not asks.ahead or numbers) and asked:
        y = tuple(map(names_of.position, wanted.y))
    else:
        y = _if_there(wanted, names_of, {*x, by})
    taken |= set(y)
    if wanted.is_pair and asked and not (x and y):
        raise _no_pair(names_of, bool(x), bool(y))
    if not x and not numbers:
        first = names_of.default(content.columns, taken)
        if first is None:
            hint = f"--columns x=NAME (default names: {_join(content.columns)})"
            raise names_of.absent(f"no column of {content.noun}", hint)
        x = (first,)
    elif not x:
        free = taken if not asks.ahead else taken - set(y if wanted.y else ())
        x = tuple(i for i in range(len(names)) if i not in free and i in kinds().numeric)
        if not x:
            raise names_of.absent("no column of numbers except y, id and by", "--columns x=NAME+NAME")
    time = single(wanted.time)
    if time is None and numbers:
        time = next((i for i in sorted(kinds().times) if i not in {*x, *y, number, by}), None)
    if asks.ahead and not (numbers and wanted.y and asked):
        y = ()
    elif not y and asked and not asks.ahead:
        raise names_of.absent(
            "no column for y", f"--columns y=NAME (default names: {_join(_targets(wanted))})"
        )
    if set(x) & ({by} if asks.ahead else {*y, by}):
        name = names[min(set(x) & {*y, by})]
        raise UsageError(f"column {name!r} is used for x and for another role", expected="different columns")
    return ColumnIndices(x, y, number, by, time)


def _no_pair(names_of: _Names, x: bool, y: bool) -> DataError:
    """Return the error for a table of text pairs that lacks a column."""
    missing = [f"{PAIRS[i][0]} texts" for i, there in enumerate((x, y)) if not there]
    usual = " and ".join(_join(PAIRS[i]) for i, there in enumerate((x, y)) if not there)
    hint = f"--columns x=SOURCE,y=TARGET (default names: {usual})"
    return names_of.absent(f"no column of {' and none of '.join(missing)}", hint)


@dataclass(frozen=True)
class _Names:
    """Looks up columns by name."""

    names: Sequence[str]
    file: Path
    line: int | None

    def absent(self, what: str, hint: str | None) -> DataError:
        """Return the error for a missing column. It lists the existing columns."""
        return DataError(what, file=self.file, line=self.line, expected=_listing(self.names), hint=hint)

    def position(self, name: str) -> int:
        """Return the index of a column from its name or number.

        Raises DataError if the name is missing or repeated.
        """
        spelt = _spelt(name, self.names)
        if spelt is None:
            raise self.absent(f"no column {name!r}", suggest(name, self.names))
        return self._once(spelt, name)

    def default(self, known: Sequence[str], taken: set[int | None]) -> int | None:
        """Return the first column in the order of `known` that exists and is not taken; case is ignored.

        Return None if there is no such column. Raises DataError if the name is repeated.
        """
        folded = [name.casefold() for name in self.names]
        for name in known:
            free = [i for i, other in enumerate(folded) if other == name and i not in taken]
            if free:
                exact = [i for i in free if self.names[i] == name]
                return self._once((exact or free)[0], self.names[(exact or free)[0]])
        return None

    def with_word(self, words: Set[str], taken: set[int | None]) -> int | None:
        """Return the only column that is not taken and has one of these words in its name.

        Return None if there is no such column, or more than one.
        """
        named = (set(re.split(r"[\W_]+", name.casefold())) for name in self.names)
        found = [i for i, own in enumerate(named) if own & words and i not in taken]
        return found[0] if len(found) == 1 else None

    def _once(self, index: int, name: str) -> int:
        count = self.names.count(self.names[index])
        if count > 1 and not name.isdigit():
            hint = f"its number ({index + 1} for the first)"
            raise self.absent(f"column {name!r} occurs {count} times", hint)
        return index


def _pair(
    names_of: _Names, x: tuple[int, ...], y: tuple[int, ...], taken: set[int | None]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the columns of a text pair by their usual names, else by words in their names.

    If exactly two columns are not `taken`, the columns that are not found are chosen from these two. If
    neither is found, the first is x and the second is y.
    """
    left = [i for i in range(len(names_of.names)) if i not in taken]

    def known(end: int, others: set[int | None]) -> tuple[int, ...]:
        found = names_of.default(PAIRS[end], others)
        found = names_of.with_word(PAIR_WORDS[end], others) if found is None else found
        return () if found is None else (found,)

    y = y or known(1, {*taken, *x})
    x = x or known(0, {*taken, *y})
    if len(left) == 2 and not x and not y:
        return (left[0],), (left[1],)
    if len(left) == 2 and not x:
        x = tuple(i for i in left if i not in y)[:1]
    elif len(left) == 2 and not y:
        y = tuple(i for i in left if i not in x)[:1]
    return x, y


def _if_there(wanted: ReadRequest, names_of: _Names, taken: set[int | None]) -> tuple[int, ...]:
    """Return the columns of an optional y: the requested or default columns, or () if any is missing."""
    known = (
        [_spelt(name, names_of.names) for name in wanted.y]
        if wanted.y
        else [names_of.default(_targets(wanted), taken)]
    )
    y = tuple(i for i in known if i is not None)
    return y if len(y) == len(known) else ()


def _targets(wanted: ReadRequest) -> Sequence[str]:
    """Return the default names of y, in search order."""
    return wanted.content.targets if wanted.target is None else wanted.asks.columns


def _spelt(name: str, names: Sequence[str]) -> int | None:
    """Find a column by its exact name, else by its name in another case, else by its 1-based number."""
    if name in names:
        return names.index(name)
    folded = [other.casefold() for other in names]
    if folded.count(name.casefold()) == 1:
        return folded.index(name.casefold())
    if name.isascii() and name.isdigit() and len(name) < 10 and 1 <= int(name) <= len(names):
        return int(name) - 1
    return None


def _listing(names: Sequence[str]) -> str:
    shown = [
        repr(name[:40]) if name else f"number {i} without a name" for i, name in enumerate(names[:20], 1)
    ]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"one of {', '.join(shown)}{more}" if shown else "columns with names"


def _join(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
