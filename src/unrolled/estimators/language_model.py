"""The estimator for language models of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled.core.errors import UsageError, need
from unrolled.datasets.text_dataset import from_texts
from unrolled.estimators.base import Estimator, sklearn_tags
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.options import TextOptions, default
from unrolled.estimators.sequences import texts
from unrolled.inference.adaptation import CacheRequest, with_adapted_cache
from unrolled.inference.open_model import Model, language_model_from_file
from unrolled.inference.scoring import SampleOptions, predict, samples, score
from unrolled.models.model_file import ModelFile
from unrolled.tasks.outputs.next_token import Scored

if TYPE_CHECKING:
    from sklearn.utils import Tags


@dataclass(kw_only=True, repr=False, eq=False)
class LanguageModel(Estimator, TextOptions):
    """A language model of texts. Each text is a document; the state is reset to zeros at its start.

    The arguments are options of `unrolled train language`. Arguments that are None are chosen from the data
    and the budget.
    """

    unit: str | None = "char"
    tie: bool | None = default("tie")
    softmax: str = default("softmax")
    window: int | None = default("window")
    first: float | None = default("first")
    cold: float = default("cold")
    label_smoothing: float | None = default("label_smoothing")

    @arguments_named()
    def fit(self, X: object, y: None = None, validation_data: object = None) -> LanguageModel:
        """Train on texts.

        validation_data: texts that select the best weights, instead of a fraction of X.
        Raises UsageError or DataError (both are ValueErrors) if the texts are unusable, MissingExtra without
        torch.
        """
        found = texts(X, "X")
        if not found:
            raise UsageError("X has no texts", expected="a list of texts")
        with need("train", "torch"):
            from unrolled.training.language_job import request
        # Here each text is one document. The option `documents` matters only later, if the model reads files.
        documents = "blank" if any("\n" in text for text in found) else "line"
        config = self._config("language", {"documents": documents})
        held = None if validation_data is None else from_texts(texts(validation_data, "validation_data"))
        self._train(lambda out, began: request(config, from_texts(found), held, out, began=began), {})
        return self

    def _keep(self, file: ModelFile, path: Path) -> None:
        self.model_ = language_model_from_file(file, path)

    @arguments_named()
    def score_samples(self, X: object) -> list[Scored]:
        """Return the score of each text: log-probability per token, perplexity, and bits per character."""
        model = self._model
        return [score(model.engine, model.reading, text) for text in texts(X, "X")]

    def score(self, X: object, y: None = None) -> float:
        """Return the mean log-probability per token over all texts, `<EOS>` included. Higher is better."""
        scored = self.score_samples(X)
        return sum(one.log_probability for one in scored) / sum(len(one.tokens) for one in scored)

    @arguments_named()
    def predict(self, X: object) -> list[str]:
        """Return the most probable next token after each text."""
        model = self._model
        return [predict(model.engine, model.reading, text, 3).text for text in texts(X, "X")]

    @arguments_named()
    def sample(
        self,
        prompt: str = "",
        *,
        length: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        count: int = 1,
        seed: int = 0,
    ) -> list[str]:
        """Return `count` texts sampled from the model. Each text begins with the prompt."""
        return list(self.stream(SampleOptions(prompt, length, temperature, top_k, top_p, count, seed)))

    def stream(self, sample_options: SampleOptions) -> Iterator[str]:
        """Yield sampled texts one by one. The options are as in `sample`."""
        return samples(self._model.engine, self._model.reading, sample_options)

    @arguments_named()
    def with_cache(
        self,
        cache: int,
        *,
        cache_theta: float | None = None,
        cache_weight: float | None = None,
        context: str = "",
        tune: Sequence[str | Path] = (),
    ) -> LanguageModel:
        """Return the fitted model with a continuous cache. It scores, predicts and samples with it.

        cache: the number of recent tokens of a text that become more probable where the network is in a
            similar state (Grave et al. 2016, arXiv 1612.04426v1).
        cache_theta: how much a similar state counts. cache_weight: the fraction of the probability that comes
            from the cache. None: chosen on the files `tune`, or 20 and 0.1.
        context: a text that the cache knows at the beginning of each text.
        tune: text files. Each line counts as a text.
        """
        model = self._model
        request = CacheRequest(cache, cache_theta, cache_weight)
        files = tuple(Path(file) for file in tune)
        adapted = copy(self)
        adapted.model_ = with_adapted_cache(model, request, files, None, "line", context)
        return adapted

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that scikit-learn requires."""
        return sklearn_tags(None, required=False)

    @property
    def _model(self) -> Model:
        self._require_fitted()
        return self.model_
