"""Baselines for language models: n-gram counts of characters and words, and the cost in bits of each line.

The cost of a line of the scored text is its negative log-probability in bits, including its newline. An
unknown word costs its `<UNK>`, plus its spelling by the character counts of the training text. This makes
models of words comparable with models of characters.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Document
from unrolled.data.readers import read_documents
from unrolled.data.text.tokenize import split
from unrolled.datasets.token_batches import evaluation_batches
from unrolled.datasets.token_store import Store, write_store
from unrolled.models.engines import Engine
from unrolled.tasks.inputs.tokens import Reading, encode

F64 = NDArray[np.float64]
LETTERS = 0x110000  # number of Unicode code points; the probability of unseen characters is uniform over them
MOST = 1 << 22  # characters at the end of the training text that are counted
# A long text is split into LANES rows of a batch, which are read in windows of WINDOW steps. Each lane except
# the first starts with the WARM tokens before its part, to warm up its state.
LANES, WINDOW, WARM = 32, 128, 256


@dataclass(frozen=True)
class Text:
    """The lines of several files without newlines.

    files: file name -> (index of its first line, number of its lines).
    """

    lines: tuple[str, ...]
    files: Mapping[str, tuple[int, int]]

    @property
    def joined(self) -> str:
        """All lines as one text, each with its newline."""
        return "".join(line + "\n" for line in self.lines)

    @property
    def characters(self) -> F64:
        """Number of characters of each line with its newline, [lines]."""
        return np.array([len(line) + 1.0 for line in self.lines])


def read_text(paths: Sequence[Path], *, lower: bool) -> Text:
    """Read the text of files and folders into memory. Raises the errors of the reader."""
    lines: list[str] = []
    files: dict[str, tuple[int, int]] = {}
    pieces: list[Document] = []
    for piece in read_documents(paths, "file"):
        pieces.append(piece)
        if piece.last:
            whole = "".join(one.text for one in pieces).removesuffix("\n")
            found = (whole.lower() if lower else whole).split("\n")
            files[str(piece.place.file)] = (len(lines), len(found))
            lines += found
            pieces = []
    return Text(tuple(lines), files)


@dataclass(frozen=True)
class CharacterModel:
    """Character model with Witten-Bell smoothing.

    Witten and Bell, IEEE Transactions on Information Theory 37, 1991.

    The probability of a character depends on at most `order` characters before it. It interpolates the counts
    after the longest context with those after each shorter one, and finally with the uniform distribution.

    seen: count of each character sequence.  after: number of characters that follow a sequence.
    kinds: number of distinct characters that follow a sequence.
    """

    order: int
    seen: Mapping[str, int]
    after: Mapping[str, int]
    kinds: Mapping[str, int]

    def bits(self, letter: str, before: str = "") -> float:
        """Return the cost of a character in bits. before: the characters before it."""
        p = 1 / LETTERS
        for length in range(min(self.order, len(before)) + 1):
            run = before[len(before) - length :]
            total = self.after.get(run, 0)
            if not total:
                break
            kinds = self.kinds[run]
            p = (self.seen.get(run + letter, 0) + kinds * p) / (total + kinds)
        return -math.log2(p)

    def spelled(self, word: str) -> float:
        """Return the cost in bits of spelling a word without context, including the space at its end."""
        return sum(map(self.bits, word)) + self.bits(" ")


def count_letters(text: str, order: int) -> CharacterModel:
    """Count the characters of a text after contexts of up to `order` characters."""
    seen: Counter[str] = Counter()
    for length in range(1, order + 2):
        seen.update(text[i : i + length] for i in range(len(text) - length + 1))
    after: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for run, times in seen.items():
        after[run[:-1]] += times
        kinds[run[:-1]] += 1
    return CharacterModel(order, seen, after, kinds)


Costs = list[list[float]]  # [lines][bits, unknown tokens, tokens]


def uniform_costs(train: Text, scored: Text) -> Costs:
    """Return the costs if each character of the training text is equally likely.

    All unknown characters together are as likely as one known character.
    """
    known = {"\n", *(letter for line in train.lines for letter in line)}
    one, other = math.log2(len(known) + 1), math.log2(len(known) + 1) + math.log2(LETTERS)
    strange = (sum(letter not in known for letter in line) for line in scored.lines)
    return [
        [other * n + one * (len(line) + 1 - n), float(n), len(line) + 1.0]
        for line, n in zip(scored.lines, strange, strict=True)
    ]


def letter_costs(train: Text, scored: Text, order: int) -> Costs:
    """Return the costs by the character model of this `order`. Its context continues across line ends."""
    letters = count_letters(train.joined, order)
    text, place, found = scored.joined, 0, Costs()
    for line in scored.lines:
        stop = place + len(line) + 1
        bits = sum(letters.bits(text[i], text[max(0, i - order) : i]) for i in range(place, stop))
        strange = sum(letter not in letters.seen for letter in text[place:stop])
        found.append([bits, float(strange), len(line) + 1.0])
        place = stop
    return found


def word_costs(train: Text, scored: Text, unit: str) -> Costs:
    """Return the costs if each word depends only on its count. Unknown words are spelled.

    The newline of a line that is not blank counts as a word too.
    """
    words = Counter(word for line in train.lines for word in _closed(line, unit))
    letters = count_letters(train.joined, 0)
    total, kinds = words.total(), len(words)
    known = {word: math.log2((total + kinds) / times) for word, times in words.items()}
    unknown = math.log2((total + kinds) / kinds)
    found = Costs()
    for line in scored.lines:
        tokens = _closed(line, unit)
        strange = [word for word in tokens if word not in known]
        bits = sum(known.get(word, unknown) for word in tokens) + sum(map(letters.spelled, strange))
        found.append([bits, float(len(strange)), float(len(tokens))])
    return found


def _closed(line: str, unit: str) -> list[str]:
    words = split(line, unit)
    return [*words, "\n"] if words else []


def model_costs(
    engine: Engine,
    reading: Reading,
    paths: Sequence[Path],
    scored: Text,
    letters: CharacterModel,
    folder: Path,
) -> Costs:
    """Return the cost of each line under a trained model. Unknown tokens are spelled.

    letters: the character model for the spelling.  folder: the encoded text is written there.
    """
    encoded = encode(
        read_documents(paths, reading.documents), reading.vocabulary, reading.unit, reading.lower
    )
    store = write_store(folder, encoded, len(reading.vocabulary))
    bits, tokens, unknown = (np.zeros(len(scored.lines)) for _ in range(3))
    lines = _lines_of(store, scored)
    starts = store.all_lines[:-1]
    np.add.at(bits, lines, np.add.reduceat(_token_bits(engine, store), starts))
    np.add.at(tokens, lines, np.diff(store.all_lines).astype(np.float64))
    index = reading.vocabulary.index
    cost = letters.bits if reading.of_characters else letters.spelled
    for number, line in enumerate(scored.lines):
        strange = [token for token in split(line, reading.unit) if token not in index]
        bits[number] += sum(cost(reading.bare(token)) for token in strange)
        unknown[number] = len(strange)
    return np.stack([bits, unknown, tokens], axis=1).tolist()


def _token_bits(engine: Engine, store: Store) -> F64:
    """Return the cost of each token of the store in bits, [tokens]."""
    bits, state = np.zeros(len(store)), None
    for batch in evaluation_batches(store, LANES, WINDOW, WARM):
        log_probs, state = engine.run(batch.x, batch.lengths, engine.keep(state, batch.carry))
        asked = batch.y >= 0
        picked = np.take_along_axis(log_probs, np.where(asked, batch.y, 0)[..., None], axis=2)[..., 0]
        positions = batch.places[:, None] + np.arange(batch.y.shape[1])  # [batch, T_x]
        bits[positions[asked]] = -picked[asked].astype(np.float64) / math.log(2)
    return bits


def _lines_of(store: Store, scored: Text) -> NDArray[np.int64]:
    """Return the line index in the scored text of each line of the store, [lines of the store]."""
    firsts = np.array([position for _, position in store.files])
    file = np.searchsorted(firsts, store.all_lines[:-1], side="right") - 1
    begin, lines = np.array([scored.files[name] for name, _ in store.files]).T
    return begin[file] + np.minimum(store.all_numbers, lines[file]) - 1


def training_text(documents: Iterable[Document], *, lower: bool) -> Text:
    """Return the lines of the training text: its last MOST characters at most."""
    pieces, size = deque[str](), 0
    for document in documents:
        pieces.append(document.text + ("\n" if document.last and not document.text.endswith("\n") else ""))
        size += len(pieces[-1])
        while size - len(pieces[0]) >= MOST:
            size -= len(pieces.popleft())
    text = "".join(pieces)[-MOST:]
    return Text(tuple((text.lower() if lower else text).removesuffix("\n").split("\n")), {})
