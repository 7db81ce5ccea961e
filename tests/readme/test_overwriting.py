"""No command and no estimator replaces a file by itself. README.md says:

* "Nothing is overwritten without `--force`."
"""

from __future__ import annotations

from pathlib import Path

import pytest

import unrolled
from support.paths import GOLDEN
from support.small_models import nothing_new, refused, run
from support.training_runs import SMALL, write_text
from unrolled.core.errors import UsageError

LANGUAGE, LABEL = GOLDEN / "format1.model", GOLDEN / "format1-classify.model"
WRITING = {
    "predict": ("predict", LABEL),
    "score": ("score", LANGUAGE),
    "sample": ("sample", LANGUAGE, "--seed", 1),
}


@pytest.mark.parametrize("verb", WRITING)
def test_answers_that_are_there_stay(verb: str, tmp_path: Path):
    out = tmp_path / "answers"
    out.write_text("mine\n")
    with nothing_new(tmp_path):
        told = refused(run(*WRITING[verb], "--output", out, stdin=b"a fine film\n"))
    assert told.startswith(f"{out}: ") and "--force" in told
    done = run(*WRITING[verb], "--output", out, "--force", stdin=b"a fine film\n")
    assert done.code == 0 and out.read_text() == run(*WRITING[verb], stdin=b"a fine film\n").out


def test_a_model_and_a_run_that_are_there_stay(tmp_path: Path):
    text = write_text(tmp_path / "t.txt", 40)
    words = ("train", "language", text, *SMALL, "--epochs", 1, "--out", tmp_path / "m")
    assert run(*words).code == 0
    with nothing_new(tmp_path):
        assert "--force" in refused(run(*words))
    first = (tmp_path / "m").read_bytes()
    (tmp_path / "m").unlink()
    with nothing_new(tmp_path):  # the run folder alone is not overwritten either
        assert "--force" in refused(run(*words))
    (tmp_path / "m").write_bytes(first)
    assert run(*words, "--seed", 4, "--force").code == 0
    assert (tmp_path / "m").read_bytes() != first


def test_an_estimator_does_not_overwrite_either(tmp_path: Path):
    model, path = unrolled.load(LABEL), tmp_path / "m"
    path.write_text("mine\n")
    with pytest.raises(UsageError, match="force=True"):
        model.save(path)
    assert path.read_text() == "mine\n"
    model.save(path, force=True)
    assert unrolled.load(path).__sklearn_is_fitted__()
