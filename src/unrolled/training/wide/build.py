"""Fit the wide part before training, and complete it with the weights of the sum after training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unrolled.core.types import Array, Floats
from unrolled.datasets.example_store import Examples
from unrolled.models.wide.wide_part import Linear, WidePart
from unrolled.training.wide.fit_linear import Choice, Targets, choose, fit_linear, learnable
from unrolled.training.wide.mixing import BEFORE, mixing_weights
from unrolled.training.wide.report import baseline_line, comparison_line


@dataclass(frozen=True, eq=False)
class FittedWide:
    """The linear models that were fitted before the training of the network.

    judged: fitted to the training set. The weights of the sum are chosen for it on the validation set.
    final: the model that is written to the file. If the validation set was held out from the training files, it is
    fitted to both sets.
    log_probs: whether answers are log-probabilities.
    about: lines that are shown to the user.
    """

    judged: Linear
    final: Linear
    choice: Choice
    log_probs: bool
    about: tuple[str, ...]


def fit_wide(part: Examples, held: Examples | None, n_y: int, *, refit: bool) -> FittedWide | None:
    """Fit the wide part. Return None if the training set is too small.

    refit: whether the final model may also use the validation set.
    """
    targets = _targets(part, n_y)
    features = part.all_features()
    if not learnable(targets) or not any(len(one) for one in features):
        return None
    chosen = choose(features, targets)
    judged = final = fit_linear(features, targets, chosen)
    if judged is None:
        return None
    if held is not None and refit:
        both = Targets(
            np.concatenate([targets.y, _targets(held, n_y).y]),
            n_y,
            None if targets.weights is None else np.concatenate([targets.weights, np.ones(len(held))]),
        )
        final = fit_linear([*features, *held.all_features()], both, chosen)
    about = [f"wide part: {judged.describe()}, {chosen.method}, strength {chosen.strength:g}"]
    if held is not None:
        about.append(baseline_line(judged.scores(held.all_features()), _targets(held, n_y).y))
    return FittedWide(judged, final or judged, chosen, targets.classes, tuple(about))


def complete(
    fitted: FittedWide, held: Examples | None, y: Sequence[Array], answers: Sequence[Floats]
) -> tuple[WidePart, list[Floats], tuple[str, ...]]:
    """Return the wide part with the weights of the sum, the answers of the whole model to the validation set, and a
    message.

    y, answers: of the validation set, in the order of `held`.
    """
    if held is None:
        return WidePart(fitted.final, *BEFORE, fitted.log_probs), [], ()
    features, network = held.all_features(), np.concatenate(answers)
    wide = fitted.judged.scores(features)
    truth = np.stack(y)
    weights = mixing_weights(network, wide, truth)
    judged = WidePart(fitted.judged, *weights, fitted.log_probs)
    mixed = judged.add(network, features)
    told = comparison_line(wide, network, mixed, truth)
    return WidePart(fitted.final, *weights, fitted.log_probs), list(mixed[:, None]), (told,)


def _targets(part: Examples, n_y: int) -> Targets:
    y = np.asarray(part.y[part.rows])
    return Targets(y, n_y, part.weights)
