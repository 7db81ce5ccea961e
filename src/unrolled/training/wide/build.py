"""Fit the wide part before training, and complete it with the weights of the sum after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from unrolled.core.config import Config
from unrolled.core.types import Array, Floats
from unrolled.datasets.example_store import Examples
from unrolled.models.wide.token_linear import TokenLinear
from unrolled.models.wide.wide_part import Linear, WidePart, weights_with
from unrolled.tasks.outputs import Output
from unrolled.training.wide.fit_crf import BEFORE as BEFORE_TAGS
from unrolled.training.wide.fit_crf import crf_mixing_weights, fit_crf
from unrolled.training.wide.fit_linear import Targets, choose, fit_linear, learnable
from unrolled.training.wide.mixing import BEFORE, mixing_weights
from unrolled.training.wide.report import baseline_line, comparison_line, tags_line

Weights = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Problem:
    """What a fit reads.

    part: the training set.  held: the validation set, or None.  asked: the output.  config: the configuration.
    refit: whether the final model may also use the validation set, because it was held out from the training files.
    """

    part: Examples
    held: Examples | None
    asked: Output
    config: Config
    refit: bool


@dataclass(frozen=True, eq=False)
class Completed:
    """The finished wide part.

    answers: of the whole model to the validation set; empty without one.  about: lines that are shown to the user.
    """

    part: WidePart
    answers: list[Floats]
    about: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FittedWide:
    """A wide part without the weights of the sum.

    about: lines that are shown to the user.
    complete: (y, answers of the network, weights of the network) of the validation set -> the finished wide part.
    """

    about: tuple[str, ...]
    complete: Callable[[Sequence[Array], Sequence[Floats], Weights], Completed]


def fit_wide(problem: Problem) -> FittedWide | None:
    """Fit the wide part. Return None if the training set is too small."""
    return (_fit_tags if problem.asked.targets == "each" else _fit_one)(problem)


def _fit_one(problem: Problem) -> FittedWide | None:
    """Fit the wide part of a model with one y per sequence."""
    part, held, n_y = problem.part, problem.held, problem.asked.n_y
    targets, features = _targets(part, n_y), part.all_features()
    if not learnable(targets) or not any(len(one) for one in features):
        return None
    chosen = choose(features, targets)
    judged = final = fit_linear(features, targets, chosen)
    if judged is None:
        return None
    if held is not None and problem.refit:
        both = Targets(
            np.concatenate([targets.y, _targets(held, n_y).y]),
            n_y,
            None if targets.weights is None else np.concatenate([targets.weights, np.ones(len(held))]),
        )
        final = fit_linear([*features, *held.all_features()], both, chosen)
    about = [f"wide part: {judged.describe()}, {chosen.method}, strength {chosen.strength:g}"]
    if held is not None:
        about.append(baseline_line(judged.scores(held.all_features()), _targets(held, n_y).y))
    return FittedWide(tuple(about), partial(_complete_one, held, judged, final or judged, targets.classes))


def _complete_one(
    held: Examples | None,
    judged: Linear,
    final: Linear,
    log_probs: bool,
    y: Sequence[Array],
    answers: Sequence[Floats],
    weights: Weights,
) -> Completed:
    """Choose the weights of the sum.

    judged: the model of the training set, for which they are chosen.  final: the model that is written to the file.
    """
    if held is None:
        return Completed(WidePart(final, *BEFORE, log_probs), [], ())
    features, network, truth = held.all_features(), np.concatenate(answers), np.stack(y)
    wide = judged.scores(features)
    shares = mixing_weights(network, wide, truth)
    mixed = WidePart(judged, *shares, log_probs).add(network, features)
    told = comparison_line(wide, network, mixed, truth)
    return Completed(WidePart(final, *shares, log_probs), list(mixed[:, None]), (told,))


def _fit_tags(problem: Problem) -> FittedWide | None:
    """Fit the wide part of a tagger with a CRF."""
    part, held, n_y = problem.part, problem.held, problem.asked.n_y
    minutes = problem.config.training.minutes
    features, tags = part.all_features(), [part.target(number) for number in range(len(part))]
    judged = final = fit_crf(features, tags, n_y, minutes)
    if judged is None:
        return None
    if held is not None and problem.refit:
        more = [held.target(number) for number in range(len(held))]
        final = fit_crf([*features, *held.all_features()], [*tags, *more], n_y, minutes)
    about = (f"wide part: {judged.describe()}",)
    return FittedWide(about, partial(_complete_tags, held, problem.asked, judged, final or judged))


def _complete_tags(
    held: Examples | None,
    asked: Output,
    judged: TokenLinear,
    final: TokenLinear,
    y: Sequence[Array],
    answers: Sequence[Floats],
    weights: Weights,
) -> Completed:
    """Choose the weights of the sum; see `_complete_one`."""
    if held is None:
        return Completed(WidePart(final, *BEFORE_TAGS, False), [], ())
    features = held.all_features()
    shares = crf_mixing_weights(judged, features, y, answers, weights)
    sums = [WidePart(judged, *pair, False) for pair in ((0.0, 1.0), (1.0, 0.0), shares)]
    mixed = [[one.add(answer, [own]) for answer, own in zip(answers, features, strict=True)] for one in sums]
    figures = [
        asked.figures(y, found, weights_with(one, weights)) for found, one in zip(mixed, sums, strict=True)
    ]
    return Completed(WidePart(final, *shares, False), list(mixed[-1]), (tags_line(*figures),))


def _targets(part: Examples, n_y: int) -> Targets:
    y = np.asarray(part.y[part.rows])
    return Targets(y, n_y, part.weights)
