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
from unrolled.training.wide.fit_windows import fit_windows, refitted
from unrolled.training.wide.mixing import BEFORE, adds, mixing_weights
from unrolled.training.wide.report import baseline_line, comparison_line, main_figure, tags_line

Weights = Mapping[str, Array]
WIDEST = 0.9  # quantile by which two sets of errors are compared
ALONE, NETWORK = (0.0, 1.0), (1.0, 0.0)  # weights of the wide part alone and of the network alone
TRIED = (
    BEFORE_TAGS,
    NETWORK,
    (1.0, 0.25),
    (1.0, 0.5),
    ALONE,
)  # of a tagger, after the weights with the smallest loss


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
    y: the targets of these answers, if they are not those of the validation set.
    """

    part: WidePart
    answers: list[Floats]
    about: tuple[str, ...]
    y: list[Array] | None = None


@dataclass(frozen=True, eq=False)
class Sum:
    """A sum of the network and the wide part, applied to a whole data set."""

    part: WidePart

    def of_all(
        self, answers: Sequence[Floats], examples: Examples, weights: Weights
    ) -> tuple[list[Floats], Weights]:
        """Return the answers of the sum, and the tensors that belong to them.

        answers, weights: the answers of the network to all examples, and its tensors.
        """
        features = examples.all_features()
        if self.part.linear.each_step:
            found = [self.part.add(one, [own]) for one, own in zip(answers, features, strict=True)]
        else:
            found = list(self.part.add(np.concatenate(answers), features)[:, None])
        return found, weights_with(self.part, weights)


FEWEST_WINDOWS = 12  # windows of a forecast that has a wide part


@dataclass(frozen=True, eq=False)
class FittedWide:
    """A wide part without the weights of the sum.

    about: lines that are shown to the user.
    baseline: the wide part alone.
    preview: (y, answers of the network, examples, weights of the network) -> the answers of the sum and the tensors
    that belong to them, for the metrics during training.
    complete: (y, answers of the network, weights of the network) of the validation set -> the finished wide part.
    """

    about: tuple[str, ...]
    baseline: Sum
    preview: Callable[[Sequence[Array], Sequence[Floats], Examples, Weights], tuple[list[Floats], Weights]]
    complete: Callable[[Sequence[Array], Sequence[Floats], Weights], Completed]


def fit_wide(problem: Problem) -> FittedWide | None:
    """Fit the wide part. Return None if the training set is too small."""
    if problem.config.data.horizon:
        return _fit_forecast(problem)
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
    return FittedWide(
        tuple(about),
        Sum(WidePart(judged, *ALONE, targets.classes)),
        partial(_preview_one, judged, targets.classes),
        partial(_complete_one, held, judged, final or judged, targets.classes),
    )


def _preview_one(
    judged: Linear,
    log_probs: bool,
    y: Sequence[Array],
    answers: Sequence[Floats],
    examples: Examples,
    weights: Weights,
) -> tuple[list[Floats], Weights]:
    """Return the answers of the sum with the best weights for these answers."""
    wide = judged.scores(examples.all_features())
    shares = mixing_weights(np.concatenate(answers), wide, np.stack(y))
    return Sum(WidePart(judged, *shares, log_probs)).of_all(answers, examples, weights)


def _preview_tags(
    usual: Sum, y: Sequence[Array], answers: Sequence[Floats], examples: Examples, weights: Weights
) -> tuple[list[Floats], Weights]:
    """Return the answers of the sum with the usual weights, because the best ones take seconds to find."""
    return usual.of_all(answers, examples, weights)


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


def _fit_forecast(problem: Problem) -> FittedWide | None:
    """Fit the wide part of a forecast to windows in the order of time."""
    part, held = problem.part, problem.held
    if len(part) < FEWEST_WINDOWS:
        return None
    features, y, n_x = part.all_features(), np.asarray(part.y[part.rows]), part.x.shape[1]
    fitted = fit_windows(features, y, n_x)
    judged = final = fitted.linear
    about = [f"wide part: {judged.describe()}, strength {fitted.strength:g}"]
    if held is not None:
        found, truth = held.all_features(), np.asarray(held.y[held.rows])
        about.append(baseline_line(judged.scores(found), truth))
        if problem.refit:
            final = refitted([*features, *found], np.concatenate([y, truth]), n_x, fitted.strength)
    return FittedWide(
        tuple(about),
        Sum(WidePart(judged, *ALONE, False)),
        partial(_preview_one, judged, False),
        partial(_complete_forecast, held, judged, final, fitted.errors),
    )


def _complete_forecast(
    held: Examples | None,
    judged: Linear,
    final: Linear,
    errors: Floats,
    y: Sequence[Array],
    answers: Sequence[Floats],
    weights: Weights,
) -> Completed:
    """Choose the weights of the sum; see `_complete_one`.

    errors: [rows, n_y] of the wide part on windows that its fit left out. The output is calibrated with them, because
    the windows of the validation set overlap: 24 steps of 400 hours are about 17 independent windows, too few for a
    quantile. With a network, the errors of a number are enlarged if those on the validation set are larger.
    """
    if held is None:
        return Completed(WidePart(final, *BEFORE, False), [], ())
    features, network, truth = held.all_features(), np.concatenate(answers), np.stack(y)
    wide = judged.scores(features)
    shares = mixing_weights(network, wide, truth)
    shares = shares if adds(shares, network, wide, truth) else ALONE
    mixed = WidePart(judged, *shares, False).add(network, features)
    told = comparison_line(wide, network, mixed, truth)
    if shares != ALONE:
        own, usual = (
            np.quantile(np.abs(part), WIDEST, axis=0) for part in (mixed - truth, errors)
        )  # [n_y] each
        errors = errors * np.maximum(1.0, own / np.maximum(usual, np.finfo(np.float64).tiny))
    zeros: list[Floats] = list(np.zeros((len(errors), 1, errors.shape[1])))
    return Completed(WidePart(final, *shares, False), zeros, (told,), list(errors))


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
    baseline, usual = (Sum(WidePart(judged, *pair, False)) for pair in (ALONE, BEFORE_TAGS))
    finish = partial(_complete_tags, held, problem.asked, judged, final or judged)
    return FittedWide(about, baseline, partial(_preview_tags, usual), finish)


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
    tried = [crf_mixing_weights(judged, features, y, answers, weights), *TRIED]
    mixed = [Sum(WidePart(judged, *shares, False)).of_all(answers, held, weights) for shares in tried]
    figures = [asked.figures(y, *pair) for pair in mixed]
    # The weights with the smallest loss may find too few spans, so the metric decides.
    best = max(range(len(tried)), key=lambda number: main_figure(figures[number])[1])
    told = tags_line(figures[tried.index(ALONE)], figures[tried.index(NETWORK)], figures[best])
    return Completed(WidePart(final, *tried[best], False), mixed[best][0], (told,))


def _targets(part: Examples, n_y: int) -> Targets:
    y = np.asarray(part.y[part.rows])
    return Targets(y, n_y, part.weights)
