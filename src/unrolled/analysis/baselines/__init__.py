"""The sceptic's baselines: what a recurrent model must beat to be worth it. One file a family, none needs torch.

Each is a function run(train, test, seed) -> Baseline. Options, such as the strength of a regularisation, are picked
on the training part alone. Those on scikit-learn or CRFsuite import it late and raise MissingExtra without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unrolled.analysis.baselines import (
    bag_of_words as text,
)
from unrolled.analysis.baselines import (
    dtw,
    forecast,
    majority,
    tags,
)
from unrolled.analysis.baselines import (
    mlp as sequences,
)
from unrolled.analysis.baselines.example_arrays import Baseline
from unrolled.core.types import Example

Run = Callable[[Sequence[Example], Sequence[Example], int], Baseline]

# By input and output kind; the trivial one first.
BASELINES: dict[str, tuple[Run, ...]] = {
    "tokens:label": (
        majority.majority_class,
        text.naive_bayes,
        text.nb_svm,
        text.words_logistic,
        text.characters_logistic,
    ),
    "tokens:tags": (majority.majority_tag, tags.word_tag, tags.crf),
    "numbers:label": (majority.majority_class, sequences.connected_label, dtw.nearest),
    "audio:label": (majority.majority_class,),
    "numbers:number": (
        majority.mean_number,
        forecast.ridge_last,
        sequences.ridge_summary,
        sequences.connected_number,
    ),
    "numbers:next": (forecast.seasonal, forecast.ridge_next),
}
