"""Runs scikit-learn's own checks of estimators, in a process without the checked annotations of the tests.

`python -m support.sklearn_checks Classifier ...` prints one JSON line for each check: estimator, check, status and
what was wrong. The checks pass wrong types to the constructor on purpose, which checked annotations would refuse.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

QUICK = {"hidden": 4, "epochs": 1, "threads": 1, "optimizer": "adamw"}
ABLE = {"hidden": 8, "epochs": 12, "threads": 1, "batch_size": 8, "lr": 0.03, "dropout": 0.0}


def name_of(check: Any) -> str:
    """The name of a check, which may be a partial or wrapped function."""
    inner = getattr(check, "func", check)
    return getattr(inner, "__wrapped__", inner).__name__


def main(names: list[str]) -> None:
    """Run all checks of these estimators. Those that ask for accuracy get more training."""
    import unrolled
    from sklearn.base import clone
    from sklearn.utils.estimator_checks import estimator_checks_generator

    warnings.simplefilter("ignore")
    for name in names:
        kind = getattr(unrolled, name)
        for estimator, check in estimator_checks_generator(kind(**QUICK)):
            own = kind(**ABLE) if name_of(check).endswith("_train") else clone(estimator)
            told = {"estimator": name, "check": name_of(check), "status": "passed", "error": ""}
            try:
                check(own)
            except Exception as error:  # whatever a check raises is its answer
                skipped = type(error).__name__ == "SkipTest"
                told |= {"status": "skipped" if skipped else "failed", "error": f"{error!r:.300}"}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
