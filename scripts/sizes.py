"""Count lines of code, without docstrings, comments and blank lines; fail above the limits in pyproject.toml.

The script prints one line per limit. With --all, it also prints every file and the longest functions.
"""

from __future__ import annotations

import argparse
import ast
import io
import math
import re
import sys
import tokenize
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
CPP_SUFFIXES = {".c", ".cc", ".cpp", ".h", ".hpp"}
# String and character literals are matched first, so that "//" in a literal is not a comment.
CPP_COMMENT = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|//[^\n]*|/\*.*?\*/""", re.DOTALL)


@dataclass(frozen=True)
class Function:
    """A function and its number of code lines, including nested functions."""

    where: str
    lines: int


@dataclass(frozen=True)
class File:
    """A file, its number of code lines and its functions."""

    path: Path
    lines: int
    functions: tuple[Function, ...]


def docstring_lines(tree: ast.AST) -> set[int]:
    """Return the line numbers of docstrings and of other statements that are only a string."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            case _:
                pass
    return lines


def code_lines(source: str, tree: ast.AST) -> set[int]:
    """Return the line numbers with code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - docstring_lines(tree)


def measure(path: Path) -> File:
    """Count the code lines of one Python file."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, str(path))
    lines = code_lines(source, tree)
    functions = tuple(
        Function(
            f"{path.relative_to(ROOT)}:{node.lineno} {node.name}",
            sum(node.lineno <= n <= (node.end_lineno or node.lineno) for n in lines),
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return File(path, len(lines), functions)


def cpp_lines(path: Path) -> int:
    """Count the code lines of a C or C++ file."""
    source = path.read_text(encoding="utf-8")
    bare = CPP_COMMENT.sub(lambda m: m[0] if m[0][0] in "\"'" else "\n" * m[0].count("\n"), source)
    return sum(bool(line.strip()) for line in bare.splitlines())


def percentile(values: list[int], share: float) -> int:
    """Return the percentile by the nearest-rank method; 0 if there are no values. share: 0.9 for the 90th."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else 0


def on_reading_path(path: Path, names: list[str]) -> bool:
    """Whether a file is one of these modules, or is in one of these folders."""
    inside = path.relative_to(ROOT / "src" / "unrolled").with_suffix("").as_posix()
    return any(inside == name or inside.startswith(f"{name}/") for name in names)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="print every file and the longest functions")
    everything = parser.parse_args().all

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["unrolled"]
    limits: dict[str, int] = settings["limits"]
    files = [measure(path) for path in sorted((ROOT / "src").rglob("*.py"))]
    cpp = [path for path in sorted((ROOT / "csrc").rglob("*")) if path.suffix in CPP_SUFFIXES]
    functions = sorted((f for file in files for f in file.functions), key=lambda f: -f.lines)
    path_files = [file for file in files if on_reading_path(file.path, settings["reading_path"])]

    if everything:
        for file in files:
            print(f"{file.lines:6}  {'*' if file in path_files else ' '} {file.path.relative_to(ROOT)}")
        for path in cpp:
            print(f"{cpp_lines(path):6}    {path.relative_to(ROOT)}")
        print(f"{sum(file.lines for file in files):6}    in total; * is on the reading path\n")
        for function in functions[:20]:
            print(f"{function.lines:6}    {function.where}")
        print()

    longest = max(files, key=lambda file: file.lines)
    found = {
        "file": longest.lines,
        "function_p90": percentile([f.lines for f in functions], 0.9),
        "reading_path": sum(file.lines for file in path_files),
        "cpp": sum(cpp_lines(path) for path in cpp),
    }
    for name, lines in found.items():
        note = f"  {longest.path.relative_to(ROOT)}" if name == "file" else ""
        print(f"{name:13} {lines:5} of {limits[name]:5}{note}")
    over = [f"{file.path.relative_to(ROOT)} ({file.lines})" for file in files if file.lines > limits["file"]]
    over += [f"{name} ({n})" for name, n in found.items() if name != "file" and n > limits[name]]
    if over:
        print(f"error: above the limits in pyproject.toml: {', '.join(over)}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
