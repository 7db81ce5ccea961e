"""First part of the demo: tag the words that are part of a person's name, the first example of the lecture.

Two taggers learn from generated sentences: one reads forward, the other in both directions. The names in the
test sentences do not occur in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unrolled.core.config import build
from unrolled.core.progress import Reporter
from unrolled.core.types import Example, Place
from unrolled.core.values.example_values import elements, length
from unrolled.core.values.json_values import as_list, as_list_of, as_number
from unrolled.datasets.example_source import ExampleSource, from_lists
from unrolled.demo.sentence_maker import NAME, make
from unrolled.inference.open_model import Predictor, open_trained
from unrolled.inference.predictor import answer, evaluate

TRAIN, TEST = 4_000, 1_000  # sentences
LECTURE = "Harry Potter and Hermione Grainger invented a new spell."
PAIR = ("Teddy Roosevelt was our president", "Teddy bears are on sale")


def demo_tagger(folder: Path, reporter: Reporter) -> None:
    """Train both taggers in `folder` unless they are trained already. Print examples and the accuracy."""
    reporter.note(
        "A tagger (LSTMs in both directions) learns to find names in generated sentences. "
        "Then a second tagger learns, which only reads forward."
    )
    both = _trained(folder / "tagger", reporter, bidirectional=True)
    forward = _trained(folder / "tagger-forward", reporter, bidirectional=False)
    print("\nWhich words are part of a person's name? None of these names was in its training.\n")
    words = LECTURE.split()
    tags = _tags(both, LECTURE)
    widths = [max(len(word), len(tag)) for word, tag in zip(words, tags, strict=True)]
    for row in (words, tags):
        print("  " + " ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip())
    print("\nIs Teddy a name? The next words decide, and only the tagger of both directions reads them:\n")
    print(f"  {'p(Teddy is part of a name)':36}{'forward':>10}{'both ways':>12}")
    for sentence in PAIR:
        print(f"  {sentence:36}{_first_name(forward, sentence):10.3f}{_first_name(both, sentence):12.3f}")
    print(f"\nAccuracy on {TEST:,} new sentences with names that were not in training:\n")
    print(f"  {'':24}{'the tagger':>12}{'all words 0':>16}")
    test = _labelled(make(1, TEST, "test"))
    others = sum(tag != NAME for one in test.examples() for tag in elements(one.y))
    steps = sum(length(one.y or ()) for one in test.examples())
    for name, model in (("forward", forward), ("both directions", both)):
        print(f"  {name:24}{evaluate(model, test)['accuracy']:12.1%}{others / steps:16.1%}")
    model, words = folder / "tagger", "We met Ada Byron in the park."
    print(f"\nThe model is {model}: `echo '{words}' | unrolled predict {model}`\n")


def _trained(out: Path, reporter: Reporter, *, bidirectional: bool) -> Predictor:
    from unrolled.training.fit import fit
    from unrolled.training.supervised_job import request

    options = {"bidirectional": bidirectional, "crf": False, "hidden": 64, "embedding": 64, "epochs": 4}
    train = _labelled(make(0, TRAIN, "train"))
    fit(request(build("tag", options), train, None, out, resume=True, force=True), reporter)
    return open_trained(out)


def _labelled(examples: Sequence[Example]) -> ExampleSource:
    return from_lists([one.x for one in examples], [one.y for one in examples], "sentences")


def _tags(model: Predictor, sentence: str) -> list[str]:
    return as_list_of(str, answer(model, _example(sentence), 2).record["tags"])


def _first_name(model: Predictor, sentence: str) -> float:
    """Return the probability that the first word is part of a name."""
    record = answer(model, _example(sentence), 2).record
    probability = as_number(as_list(record["probabilities"])[0])
    return probability if as_list(record["tags"])[0] == NAME else 1 - probability


def _example(sentence: str) -> Example:
    return Example(tuple(sentence.split()), None, Place(Path("demo"), 1))
