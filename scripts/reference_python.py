"""The reference page of the Python interface, made from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence

from docstring_markdown import cell, paragraphs, table
from reference_options import meaning

import unrolled
from unrolled import nn, testing
from unrolled.core.config import options
from unrolled.estimators.base import Estimator
from unrolled.inference import open_model, predictor, streaming_audio, streaming_numbers
from unrolled.nn.layers import _Recurrent

HEAD = """# Python interface

Signatures and docstrings of all public classes and functions. `python scripts/reference.py` writes this page.
For introductions see [estimators](estimators.md) and [layers in PyTorch](torch.md).
"""
ESTIMATORS = (
    *("LanguageModel", "Classifier", "Tagger", "Regressor"),
    *("Translator", "Transcriber", "Recognizer", "Composer"),
)
LAYERS = (nn.RNN, nn.GRUSimple, nn.GRU, nn.LSTM)
SHARED = (Estimator, _Recurrent)  # their methods are described once


def python_page() -> str:
    """The page of all public names."""
    estimators = [getattr(unrolled, name) for name in ESTIMATORS]
    described = {*ESTIMATORS, "load", "tune", "nn", "__version__"}
    assert described == {*unrolled.__all__}, "a public name of the package has no place on this page"
    parts = [
        HEAD,
        "## unrolled\n",
        "`unrolled.__version__` is the version. `unrolled.nn` has the layers.\n",
        *(_callable(function, "unrolled") for function in (unrolled.load, unrolled.tune)),
        "## Estimators\n",
        *(_class(one, "unrolled") for one in estimators),
        "### Methods of all estimators\n",
        *_methods(Estimator, "Estimator"),
        "## unrolled.nn\n",
        *(_class(one, "unrolled.nn") for one in LAYERS),
        "### Methods of all layers\n",
        *_methods(_Recurrent, "Layer"),
        "## unrolled.testing\n",
        *(_callable(getattr(testing, name), "unrolled.testing") for name in testing.__all__),
        "## Opened models and streams\n",
        _class(open_model.Predictor, "unrolled.inference.open_model"),
        *(
            _callable(one, one.__module__)
            for one in (open_model.open_trained, open_model.open_language_model)
        ),
    ]
    for module in (predictor, streaming_audio, streaming_numbers):
        functions = [value for value in vars(module).values() if inspect.isfunction(value)]
        public = [f for f in functions if f.__module__ == module.__name__ and not f.__name__.startswith("_")]
        parts += [_callable(function, module.__name__) for function in public]
    return "\n".join(parts)


def _callable(function: Callable[..., object], module: str) -> str:
    name = f"{module}.{function.__name__}"
    return f"### {name}\n\n{_signature(name, function)}\n{_docstring(function)}"


def _class(kind: type, module: str) -> str:
    """A class: its arguments, docstring and methods."""
    name = f"{module}.{kind.__name__}"
    parts = [f"### {name}\n"]
    if issubclass(kind, Estimator):
        parts += [f"    {name}(*, argument=value, ...)\n", _docstring(kind), _arguments(kind)]
    else:
        parts += [_signature(name, kind), _docstring(kind)]
        ours = inspect.isfunction(kind.__init__) and kind.__init__.__doc__
        parts += [_docstring(kind.__init__)] if ours else []
    return "\n".join([*parts, *_methods(kind, kind.__name__)])


def _methods(kind: type, owner: str) -> Iterator[str]:
    """The public methods and properties of a class; without those of shared bases, unless it is one itself."""
    for name in sorted(dir(kind)):
        home = next((base for base in kind.__mro__ if name in vars(base)), object)
        ours = home.__module__.startswith("unrolled") and (home is kind or home not in SHARED)
        if name.startswith("_") or not ours:
            continue
        member = inspect.getattr_static(kind, name)
        if isinstance(member, property):
            yield f"#### {owner}.{name}\n\nA property.\n\n{_docstring(member)}"
        elif inspect.isfunction(member) or isinstance(member, classmethod):
            function = getattr(kind, name)
            yield f"#### {owner}.{name}\n\n{_signature(name, function)}\n{_docstring(function)}"


def _signature(name: str, function: Callable[..., object]) -> str:
    """A signature as a block of code, an argument per line if it is long."""
    signature = inspect.signature(function)
    shown = [_parameter(one) for one in signature.parameters.values() if one.name != "self"]
    kinds = [one.kind for one in signature.parameters.values() if one.name != "self"]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        shown.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returned = signature.return_annotation
    arrow = "" if returned in (signature.empty, None, "None") else f" -> {_type(returned)}"
    line = f"{name}({', '.join(shown)}){arrow}"
    if len(line) > 80:
        line = f"{name}(\n        " + ",\n        ".join(shown) + f",\n    ){arrow}"
    return f"    {line}\n"


def _parameter(one: inspect.Parameter) -> str:
    stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    kind = "" if one.annotation is one.empty else f": {_type(one.annotation)}"
    if one.default is one.empty:
        return f"{stars}{one.name}{kind}"
    value = repr(one.default)
    return f"{one.name}{kind}{' = ' if kind else '='}{value if len(value) < 30 else '...'}"


def _type(annotation: object) -> str:
    """A type as it is written in the code."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return text.strip("'\"")


def _docstring(thing: object) -> str:
    """The docstring. Where it explains arguments, `name: meaning`, these become a list."""
    text = inspect.getdoc(thing) or ""
    assert text, f"{thing} has no docstring"
    names = "|".join(inspect.signature(thing).parameters) if callable(thing) else ""
    if not names:
        return paragraphs(text)
    found: list[str] = []
    for part in re.split(r"\n\s*\n", text):
        prose, *meanings = re.split(rf"(?:^|\s+)(?=(?:{names}): )", part)
        after = ""
        if meanings:
            meanings[-1], raises, rest = meanings[-1].partition("Raises ")
            after = raises + rest
        items = "\n".join(
            f"* `{name}`: {' '.join(rest.split()).rstrip(';')}" for name, rest in map(_named, meanings)
        )
        found += [one for one in (prose, items, after) if one.strip()]
    return paragraphs("\n\n".join(found))


def _named(meaning: str) -> tuple[str, str]:
    name, _, rest = meaning.partition(":")
    return name, rest


def _arguments(kind: type) -> str:
    """The table of the arguments of an estimator; the meaning of an option is that of the command line."""
    rows: list[Sequence[str]] = []
    for name, one in inspect.signature(kind).parameters.items():
        option = options().get(name)
        told = cell(_told(kind, name)) if option is None else meaning(option)
        rows.append(
            (f"`{name}`", cell(_type(one.annotation).replace("|", "or")), cell(repr(one.default)), told)
        )
    return table(("argument", "type", "default", "meaning"), rows)


def _told(kind: type, name: str) -> str:
    """What the docstring of a class or of one of its bases says about an argument."""
    for base in kind.__mro__:
        text = " ".join((vars(base).get("__doc__") or "").split("\n"))
        found = re.search(rf"\b{name}: (.+?)(?:\s{{2,}}\w+:|$)", re.sub(r"\s{4,}", " ", text))
        if found is not None:
            return found[1].rstrip(".")
    return ""
