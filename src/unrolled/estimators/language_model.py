"""`LanguageModel`, the estimator of language models, and `load`, which opens any model file.

`load` opens any model file as its estimator. Using one needs NumPy alone; fitting needs torch.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unrolled.core.atomic_files import temporary_folder
from unrolled.core.config import build
from unrolled.core.errors import UsageError, need, suggest
from unrolled.core.progress import Silent
from unrolled.datasets.text_dataset import from_texts
from unrolled.estimators.supervised import (
    Classifier,
    Composer,
    Regressor,
    Tagger,
    Transcriber,
    Translator,
    arguments,
    from_model,
)
from unrolled.inference.open_model import Model, language_model_from_file, trained_from_file
from unrolled.inference.scoring import Wish, predict, samples, score
from unrolled.models import model_file
from unrolled.tasks.outputs.next_token import Scored


class LanguageModel:
    """A language model over texts: each text is a document, state starts from zeros at each.

    The arguments are options of `unrolled train`; those left None are chosen from the data and the budget.
    `settings` holds any other of them by name, {"clip": 0.5}.
    """

    def __init__(
        self,
        *,
        unit: str = "char",
        lower: bool = False,
        vocab_size: int = 10_000,
        cell: str = "lstm",
        activation: str = "tanh",
        layers: int | None = None,
        hidden: int | None = None,
        embedding: int | None = None,
        tie: bool | None = None,
        softmax: str = "exact",
        epochs: int | None = None,
        minutes: float | None = None,
        batch_size: int | None = None,
        window: int | None = None,
        optimizer: str = "muon",
        lr: float | None = None,
        dropout: float | None = None,
        seed: int = 0,
        threads: int | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.unit, self.lower, self.vocab_size = unit, lower, vocab_size
        self.cell, self.activation, self.layers, self.hidden = cell, activation, layers, hidden
        self.embedding, self.tie, self.softmax = embedding, tie, softmax
        self.epochs, self.minutes, self.batch_size, self.window = epochs, minutes, batch_size, window
        self.optimizer, self.lr, self.dropout, self.seed, self.threads = optimizer, lr, dropout, seed, threads
        self.settings = settings

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments and their values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> LanguageModel:
        """Change some of the constructor's arguments. Raises UsageError for an unknown one."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise UsageError(f"LanguageModel has no parameter '{name}'", hint=suggest(name, known))
            setattr(self, name, value)
        return self

    def fit(self, X: Sequence[str], y: None = None) -> LanguageModel:
        """Train on texts. Raises MissingExtra without torch, UsageError and DataError for unusable texts."""
        if isinstance(X, str):
            raise UsageError("fit needs a list of texts", hint='.fit(["one text", "another"])')
        with need("train", "torch"):
            from unrolled.training.fit import fit
            from unrolled.training.language_job import request
        given = {
            name: value
            for name, value in self.get_params().items()
            if name != "settings" and value is not None
        }
        # Each text ends in <EOS>; what a document is matters only to those who read files with the model later.
        documents = "blank" if any("\n" in text for text in X) else "line"
        config = build("language", {"documents": documents}, given, self.settings or {})
        with temporary_folder() as folder:
            out = folder / "model"
            began = time.monotonic()  # a budget of minutes is this call's, however old the process is
            file = fit(request(config, from_texts(X), None, out, began=began), Silent())
        self.model_ = language_model_from_file(file, out)
        return self

    def score_samples(self, X: Sequence[str]) -> list[Scored]:
        """The score of each text on its own: log-probabilities a token, perplexity, bits a character."""
        return [score(self._model.engine, self._model.reading, text) for text in X]

    def score(self, X: Sequence[str], y: None = None) -> float:
        """Mean log-probability a token over all texts, their ends counted: higher is better."""
        scored = self.score_samples(X)
        return sum(one.log_probability for one in scored) / sum(len(one.tokens) for one in scored)

    def predict(self, X: Sequence[str]) -> list[str]:
        """The most probable next token after each text."""
        return [predict(self._model.engine, self._model.reading, text, 3).text for text in X]

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
        """`count` texts drawn from the model, the prompt in front."""
        wish = Wish(prompt, length, temperature, top_k, top_p, count, seed)
        return list(self.stream(wish))

    def stream(self, wish: Wish) -> Iterator[str]:
        """The same, one after the other."""
        return samples(self._model.engine, self._model.reading, wish)

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the model file. Raises UsageError where `path` exists and `force` is off."""
        model_file.save(Path(path), self._model.file, force=force)

    @property
    def _model(self) -> Model:
        if "model_" not in vars(self):
            raise UsageError(
                "this LanguageModel is not fitted yet", hint=".fit(texts) first, or unrolled.load(path)"
            )
        return self.model_


def load(
    path: str | Path, engine: str = "numpy"
) -> LanguageModel | Classifier | Composer | Regressor | Tagger | Transcriber | Translator:
    """Open a model file as its estimator, fitted. Raises what `open_language_model` raises."""
    path = Path(path)
    file = model_file.load(path)
    if set(file.learnt) == {"input", "output"}:
        return from_model(trained_from_file(file, path, engine))
    model = language_model_from_file(file, path, engine)
    estimator = LanguageModel(**arguments(LanguageModel, file.config))
    estimator.model_ = model
    return estimator
