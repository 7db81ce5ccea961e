"""Evaluate a language model that adapts to the text: dynamic evaluation, a cache, and their settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path

from unrolled.core.atomic_files import temporary_folder
from unrolled.core.errors import NonFiniteError, UsageError, need
from unrolled.datasets.token_store import Store
from unrolled.inference.adaptation import (
    DYNAMIC_WEIGHT,
    CacheRequest,
    as_flags,
    beginning,
    cache_request,
    cache_settings,
    encoded,
    tally_windows,
)
from unrolled.inference.adaptation import tune as tune_cache
from unrolled.inference.open_model import Model
from unrolled.tasks.outputs.next_token import Tally


@dataclass(frozen=True)
class Adaptation:
    """How a language model adapts to the text that it is evaluated on.

    dynamic: whether its weights adapt. dynamic_lr, dynamic_decay: None: chosen on `tune`, or the default.
    cache, cache_theta, cache_weight: see `CacheRequest`. cache None: no cache.
    tune: text files on which the settings that are None are chosen; empty: the defaults.
    Raises UsageError for options that do not fit together.
    """

    dynamic: bool = False
    dynamic_lr: float | None = None
    dynamic_decay: float | None = None
    cache: int | None = None
    cache_theta: float | None = None
    cache_weight: float | None = None
    tune: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name, value, least in (("lr", self.dynamic_lr, 1e-300), ("decay", self.dynamic_decay, 0.0)):
            if value is not None and not least <= value < inf:
                above = "above" if least else "from"
                raise UsageError(f"--dynamic-{name} {value}", expected=f"a finite number {above} 0")
        if self.tune and not self.adapts:
            raise UsageError("--tune without --dynamic or --cache", hint="--cache 2000")
        _ = self.request

    @property
    def request(self) -> CacheRequest | None:
        """The request for a cache, or None."""
        return cache_request(self.cache, self.cache_theta, self.cache_weight)

    @property
    def trains(self) -> bool:
        """Whether the weights adapt. Naming a rate or a decay also asks for it."""
        return self.dynamic or self.dynamic_lr is not None or self.dynamic_decay is not None

    @property
    def adapts(self) -> bool:
        """Whether anything adapts."""
        return self.trains or self.cache is not None


def tally_dynamically(
    model: Model,
    store: Store,
    adaptation: Adaptation,
    encoding: str | None = None,
    noted: Callable[[str], None] = lambda line: None,
) -> Tally:
    """Evaluate a model whose weights adapt, with or without a cache. noted: receives the chosen settings.

    Raises NonFiniteError if the learning rate is too large, MissingExtra without torch.
    """
    with need("train", "torch"):
        import unrolled.training.dynamic_evaluation as dynamic
    rms, request, given = dynamic.statistics(model), adaptation.request, adaptation
    named = {"lr": given.dynamic_lr, "decay": given.dynamic_decay}
    options = dynamic.DynamicOptions(**{name: value for name, value in named.items() if value is not None})
    cache = request and request.options(DYNAMIC_WEIGHT)
    if given.tune:

        def loss(tried: dynamic.DynamicOptions) -> float:
            try:
                found = tally_windows(dynamic.windows(model, text, tried, rms), None)
            except NonFiniteError:
                return inf
            return found.nats / found.tokens

        with temporary_folder() as folder:
            text = beginning(encoded(model, folder, given.tune, encoding))
            options = dynamic.tune(loss, given.dynamic_lr, given.dynamic_decay)
            cache = request and tune_cache(request, dynamic.windows(model, text, options, rms))
        chosen = {"dynamic-lr": options.lr, "dynamic-decay": options.decay}
        noted(f"chosen on the text of --tune: {as_flags(chosen | cache_settings(cache))}")
    return tally_windows(dynamic.windows(model, store, options, rms), cache)
