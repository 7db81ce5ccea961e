"""After a training has diverged: keep the best weights as the result, or say that nothing was learnt."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from unrolled.core.errors import NonFiniteError
from unrolled.training.loop import TrainerState, Weights, load_weights


def end_at_best(
    error: NonFiniteError, progress: TrainerState, write: Callable[[Weights], object], out: Path
) -> str:
    """End a training that diverged with `error` at its best weights. Return a warning for the user.

    The best weights replace the current weights and the average, and the position is done. So `kept` returns
    them, and a resumed run is finished.

    write: writes a model with the weights that it is given. out: the path of the model.

    Raises NonFiniteError if no loss better than the first one was measured before. If there are weights from
    before the divergence all the same, they are written, because they may help to find the cause.
    """
    at = progress.at
    if not _learnt(progress):
        if progress.best:
            write(progress.best)
            what = (
                f"warning: the weights of step {at.best_step:,} are in {out}, but no better loss was measured"
            )
        else:
            what = "nothing was learnt before, so no model was written"
        raise NonFiniteError(f"{error.what}; {what}", file=error.file, line=error.line, hint=error.hint)
    load_weights(progress.network, progress.best)
    progress.average = dict(progress.best) if progress.average else {}
    progress.state = None  # it may not be finite
    for optimizer in progress.optimizers:
        for state in optimizer.states():
            state.clear()
    at.done, at.diverged = True, error.what
    loss = f"{'training' if at.provisional else 'validation'} loss {at.best_loss:.4f}"
    what = f"{error.what}; the model has the best weights so far, of step {at.best_step:,} ({loss})"
    return f"warning: {NonFiniteError(what, file=error.file, line=error.line, hint=error.hint)}"


def _learnt(progress: TrainerState) -> bool:
    """Return whether the best weights have a loss that is better than that of the first batch."""
    at = progress.at
    if not progress.best or at.best_loss is None or at.first_loss is None:
        return False
    return math.isfinite(at.best_loss) and at.best_loss < at.first_loss
