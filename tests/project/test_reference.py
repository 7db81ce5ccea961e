"""The reference pages are complete: every option, every exit code, every file format."""

from __future__ import annotations

import re

import pytest

from support.paths import ROOT
from unrolled.cli import VERBS, parser_of
from unrolled.core import errors
from unrolled.core.config import options
from unrolled.data.readers import FORMATS

REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_every_command_is_in_the_reference(verb: str):
    head, *sections = re.split(r"^## ", page("commands.md"), flags=re.MULTILINE)
    section = next(text for text in sections if text.startswith(f"`unrolled {verb}`"))
    text = head + section + (page("options.md") if "(options.md)" in section else "")
    names = parser_of(verb)._option_string_actions
    assert [name for name in names if not re.search(rf"`{name}[ `]", text)] == []


def test_every_option_of_train_is_in_the_table_of_its_section():
    sections = dict(
        re.findall(r"table `\[(\w+)\]`\.\n(.*?)(?=^## |\Z)", page("options.md"), re.DOTALL | re.MULTILINE)
    )
    for name, option in options().items():
        assert f"| `--{name.replace('_', '-')}" in sections[option.section], name


def test_every_exit_code_is_in_the_reference():
    rows = dict(re.findall(r"^\| ([\d, ]+) \| .* \| (.*) \|$", page("exit-codes.md"), re.MULTILINE))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    known = [
        kind for kind in kinds if issubclass(kind, errors.UnrolledError) and kind is not errors.UnrolledError
    ]
    assert len(known) >= 7
    assert [kind for kind in known if f"`{kind.__name__}`" not in rows[str(kind.exit_code)]] == []


def test_every_extension_that_is_read_is_in_the_reference():
    text = page("formats.md")
    endings = {ending for name in FORMATS.names() for ending in FORMATS[name].extensions}
    assert [ending for ending in sorted(endings) if f"`{ending}`" not in text] == []


def test_every_format_that_predict_writes_is_in_the_reference():
    action = parser_of("predict")._option_string_actions["--format"]
    rows = "".join(line for line in page("formats.md").splitlines() if line.startswith("| `predict"))
    assert [one for one in action.choices or () if not re.search(rf"[` ]{one}`", rows)] == []
