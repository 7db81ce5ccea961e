"""Runs scikit-learn's own checks of estimators, in a process without the checked annotations of the tests.

`python -m support.sklearn_checks` prints one JSON line for each check: estimator, check, status and error. The checks
pass wrong types to the constructor on purpose, which checked annotations would reject.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

QUICK = {"hidden": 4, "epochs": 1, "threads": 1, "optimizer": "adamw"}
# More training for the checks that ask for accuracy; their data sets have 300 and 50 sequences.
ABLE = {
    "hidden": 32,
    "batch_size": 10,
    "threads": 1,
    "optimizer": "adamw",
    "lr": 0.02,
    "pooling": "last",
    "dropout": 0.0,
}
EPOCHS = {"Classifier": 5, "Regressor": 40}
ACCURATE = ("check_classifiers_train", "check_regressors_train", "check_class_weight_classifiers")
# The checks that fit no data: scikit-learn's data are tables of numbers and one y a row, which the other estimators
# do not learn from.
DATALESS = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
)
OTHERS = ("Composer", "LanguageModel", "Recognizer", "Tagger", "Transcriber", "Translator")


def name_of(check: Any) -> str:
    """The name of a check, which may be a partial or wrapped function."""
    inner = getattr(check, "func", check)
    return getattr(inner, "__wrapped__", inner).__name__


def able(kind: Any) -> Any:
    """An estimator that learns well, for the checks in ACCURATE. Its tag `no_validation` leaves out their demand that
    `predict` rejects rows of another length than those of `fit`: sequences have any length."""

    class Able(kind):
        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.no_validation = True
            return tags

    Able.__name__ = kind.__name__
    return Able(epochs=EPOCHS[kind.__name__], **ABLE)


def run(name: str, estimator: Any, check: Any) -> None:
    """Run one check and print what came of it."""
    told = {"estimator": name, "check": name_of(check), "status": "passed", "error": ""}
    try:
        check(estimator)
    except Exception as error:  # whatever a check raises is its answer
        skipped = type(error).__name__ == "SkipTest"
        told |= {"status": "skipped" if skipped else "failed", "error": f"{error!r:.300}"}
    print(json.dumps(told), flush=True)


def main() -> None:
    """All checks of Classifier and Regressor, and those without data of the other estimators."""
    from sklearn.base import clone
    from sklearn.utils.estimator_checks import estimator_checks_generator

    import unrolled

    warnings.simplefilter("ignore")
    for name in (*EPOCHS, *OTHERS):
        kind = getattr(unrolled, name)
        for estimator, check in estimator_checks_generator(kind(**QUICK)):
            if name in OTHERS and name_of(check) not in DATALESS:
                continue
            run(name, able(kind) if name_of(check) in ACCURATE else clone(estimator), check)


if __name__ == "__main__":
    main()
