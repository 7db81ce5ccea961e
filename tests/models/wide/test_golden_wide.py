"""Model files of format 3 with a wide part answer as they did when they were written."""

from __future__ import annotations

import json

import numpy as np
import pytest

import unrolled
from support.paths import ROOT

GOLDEN = ROOT / "tests" / "golden"
ANSWERS = json.loads((GOLDEN / "format3-answers.json").read_text())


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_texts_get_the_same_probabilities(engine: str):
    model = unrolled.load(GOLDEN / "format3-classify.model", engine=engine)
    for one in ANSWERS["classify"]:
        np.testing.assert_allclose(
            model.predict_proba([one["text"]])[0], one["probabilities"], rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_words_get_the_same_tags(engine: str):
    model = unrolled.load(GOLDEN / "format3-tag.model", engine=engine)
    for one in ANSWERS["tag"]:
        assert list(model.predict([one["words"]])[0]) == one["tags"]


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_series_get_the_same_probabilities(engine: str):
    model = unrolled.load(GOLDEN / "format3-series.model", engine=engine)
    for one in ANSWERS["series"]:
        x = np.array(one["x"])[:, None]
        np.testing.assert_allclose(model.predict_proba([x])[0], one["probabilities"], rtol=0, atol=1e-5)
