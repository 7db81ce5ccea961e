"""Baselines that a recurrent model must beat: one family per file. None of them needs torch.

Each baseline is a function run(train, test, seed) -> Baseline. It chooses its options, such as the strength
of a regularisation, on the training set only. Baselines that use scikit-learn or CRFsuite import it when
they run, and raise MissingExtra if it is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unrolled.analysis.baselines import (
    bag_of_words,
    dtw,
    forecast,
    majority,
    mlp,
    tags,
)
from unrolled.analysis.baselines.fitting import Baseline
from unrolled.core.types import Example

Run = Callable[[Sequence[Example], Sequence[Example], int], Baseline]

# Baselines by INPUT:OUTPUT kind, the most trivial one first.
BASELINES: dict[str, tuple[Run, ...]] = {
    "tokens:label": (
        majority.majority_class,
        bag_of_words.naive_bayes,
        bag_of_words.nb_svm,
        bag_of_words.words_logistic,
        bag_of_words.characters_logistic,
    ),
    "tokens:tags": (majority.majority_tag, tags.word_tag, tags.crf),
    "numbers:label": (majority.majority_class, mlp.connected_label, dtw.nearest),
    "audio:label": (majority.majority_class,),
    "tokens:number": (majority.mean_number, bag_of_words.words_ridge),
    "numbers:tags": (majority.majority_step,),
    "numbers:number": (
        majority.mean_number,
        forecast.ridge_last,
        mlp.ridge_summary,
        mlp.connected_number,
    ),
    "numbers:next": (forecast.seasonal, forecast.ridge_next),
}
