"""Check the annotations of the package at run time, in tests only, with beartype. An int is accepted as a float."""

from __future__ import annotations

from beartype import BeartypeConf
from beartype.claw import beartype_package

from support.paths import PACKAGE


def check_annotations() -> None:
    """Check the arguments and results of every function of the package that is imported from now on.

    A module that imports names only for type checkers is skipped, because these names do not exist at run time.
    """
    unresolved = [
        path for path in PACKAGE.rglob("*.py") if "TYPE_CHECKING" in path.read_text(encoding="utf-8")
    ]
    modules = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in unresolved]
    # A TypeError, as Python itself raises it for most wrong arguments. Local variables are left to pyright.
    conf = BeartypeConf(
        is_pep484_tower=True,
        violation_type=TypeError,
        claw_is_pep526=False,
        claw_skip_package_names=tuple(module for module in modules if not module.endswith("__init__")),
    )
    beartype_package("unrolled", conf=conf)
