"""Run the code blocks of Markdown files, so that the build fails if the documentation is wrong.

* The blocks of a file run in order, in a temporary folder for this file.
* ```python: all blocks of a file share one namespace.
* ```console: bash runs the lines after "$ ", with their continuations (after "> ", a backslash, or a
  here-document). The other lines are output; they are not compared.
* ```json and ```toml: the block must parse.
* A block is skipped if the line before it is `<!-- no-run: reason -->`. The skip is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import traceback
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})\s*([\w+-]*)")
NO_RUN = re.compile(r"<!--\s*no-run:\s*(.+?)\s*-->\s*$")
HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
SHELL_MARKS = {"bash", "sh", "shell", "shell-session"}


@dataclass(frozen=True)
class Block:
    """One fenced block. line: line number of its first code. skip: the reason why it is not run; empty: run."""

    line: int
    language: str
    code: str
    skip: str


class BlockError(Exception):
    """A block failed. The message is printed."""


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a Markdown text, in order."""
    found: list[Block] = []
    lines = text.splitlines()
    before, at = "", 0
    while at < len(lines):
        fence = FENCE.match(lines[at])
        if fence is None:
            before, at = (lines[at] if lines[at].strip() else before), at + 1
            continue
        indent, mark, language = fence.groups()
        closing = re.compile(rf"\s*{mark[0]}{{{len(mark)},}}\s*")
        end = at + 1
        while end < len(lines) and not closing.fullmatch(lines[end]):
            end += 1
        code = "\n".join(line.removeprefix(indent) for line in lines[at + 1 : end]) + "\n"
        reason = NO_RUN.search(before)
        found.append(Block(at + 2, language, code, reason[1] if reason else ""))
        before, at = "", end + 1
    return found


def commands(code: str) -> str:
    """Return the commands of a console block as a shell script."""
    script: list[str] = []
    until, continued, typing = "", False, False
    for line in code.splitlines():
        if until:
            script.append(line.removeprefix("> "))
            until = "" if script[-1].strip() == until else until
            continue
        typing = line.startswith("$ ") or continued or (typing and line.startswith("> "))
        if not typing:
            continue
        script.append(line if continued else line[2:])
        continued = line.endswith("\\")
        heredoc = HEREDOC.search(line)
        until = heredoc[2] if heredoc else ""
    return "\n".join(script) + "\n"


def run_console(block: Block) -> None:
    """Run the commands of a block, up to the first that fails. Raises BlockError if one fails."""
    script = commands(block.code)
    if not script.strip():
        raise BlockError('a console block without a line that starts with "$ "')
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise BlockError(f"{script}{done.stdout}exit code {done.returncode}")


def run_python(block: Block, where: str, namespace: dict[str, object]) -> None:
    """Run a block in the namespace of its file. Raises BlockError if it fails."""
    try:
        # Blank lines before the code, so that a traceback has the line number in the document.
        exec(compile("\n" * (block.line - 1) + block.code, where, "exec"), namespace)
    except (Exception, SystemExit) as error:
        raise BlockError(f"{block.code}{traceback.format_exc()}") from error


def run_block(block: Block, where: str, namespace: dict[str, object]) -> bool:
    """Run or check one block. Return False if there is nothing to check in its language."""
    if block.language == "python":
        run_python(block, where, namespace)
    elif block.language == "console":
        run_console(block)
    elif block.language in ("json", "toml"):
        try:
            json.loads(block.code) if block.language == "json" else tomllib.loads(block.code)
        except ValueError as error:
            raise BlockError(f"{block.code}{error}") from error
    elif block.language in SHELL_MARKS:
        raise BlockError(f'marked {block.language}; write ```console, and "$ " before each command')
    else:
        return False
    return True


def run_file(path: Path) -> tuple[int, int]:
    """Run the blocks of one file, up to the first that fails. Return how many were run and skipped."""
    ran = skipped = 0
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = blocks(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in found:
            where = f"{path}:{block.line}"
            if block.skip:
                print(f"{where}: skipped, {block.skip}")
                skipped += 1
                continue
            try:
                ran += run_block(block, str(path), namespace)
            except BlockError as error:
                raise BlockError(f"{where}: {error}") from error
    return ran, skipped


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    failures = 0
    for path in parser.parse_args().files:
        try:
            ran, skipped = run_file(path.resolve())
        except (BlockError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            failures += 1
        else:
            print(f"{path}: {ran} blocks ran, {skipped} skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
