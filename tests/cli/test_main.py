"""The command line: help, suggestions, exit codes, streams and signals. Training and models are tested elsewhere."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from support.paths import PACKAGE
from support.small_models import refused, run, small
from unrolled.cli import VERBS, parser_of

COMMAND = (sys.executable, "-m", "unrolled")


def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([*COMMAND, *map(str, arguments)], **pipes)  # type: ignore[call-overload] (plain options)


def test_the_overview_names_every_command_and_first_steps():
    done = run("--help")
    assert done.code == 0 and done == run() and not done.err
    for verb, text in VERBS.items():
        assert f"  {verb:10}{text}\n" in done.out
    assert "unrolled demo" in done.out
    assert max(map(len, done.lines)) <= 110


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_command_begins_with_one_short_usage_line(verb: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "100")
    done = run(verb, "--help")
    assert done.code == 0 and not done.err
    usage, blank, description = done.lines[:3]
    assert usage.startswith(f"usage: unrolled {verb} ") and len(usage) <= 90
    assert (blank, description[-1]) == ("", ".")
    assert max(map(len, done.lines)) <= 110


def test_usage_is_the_contract():
    assert run("train", "--help").lines[0] == "usage: unrolled train TASK DATA... --out MODEL [options]"
    assert parser_of("sample").format_usage() == "usage: unrolled sample MODEL [options]\n"


def test_check_takes_the_options_of_train_and_lists_its_own():
    shown = parser_of("check").format_help()
    assert "--fix" in shown and "--hidden" not in shown and "--vocab-size" not in shown
    parsed = parser_of("check").parse_intermixed_args(["language", "x.txt", "--hidden", "5"])
    assert parsed.hidden == "5"


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("train", "--help"), ("tarin",)])
def test_starting_is_light(arguments: tuple[str, ...]):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "unrolled", *arguments], capture_output=True, text=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not {name.partition(".")[0] for name in loaded} & {"torch", "numpy", "rich", "safetensors"}
    if arguments[0] in ("--help", "--version"):
        assert not loaded & {"dataclasses", "inspect", "tomllib", "difflib", "tempfile", "json"}
        ours = {name for name in loaded if name.startswith("unrolled")}
        assert ours <= {
            "unrolled",
            "unrolled.core",
            "unrolled.core.version",
            "unrolled.cli",
            "unrolled.core.errors",
            "unrolled.core.signals",
            "unrolled.core.terminal",
            "unrolled.__main__",
        }


def test_version():
    assert run("--version").out == f"unrolled {import_module('unrolled').__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("tarin",), "unknown command 'tarin'; expected train,"),
        (("--hepl",), "try '--help'"),
        (("train", "language", "x", "--hiden", "3"), "unknown option --hiden; try '--hidden'"),
        (("train", "language", "x", "--hiden=3"), "unknown option --hiden; try '--hidden'"),
        (("train", "language", "x", "--hid", "3"), "unknown option --hid; try"),
        (("score", "m", "--token"), "unknown option --token; try '--tokens'"),
        (("score", "m", "f", "g"), "unexpected 'g'; try `unrolled score --help`"),
        (("score",), "the following arguments are required: MODEL; try `unrolled score --help`"),
        (("train", "language"), "the following arguments are required: DATA; try `unrolled train --help`"),
        (("train", "langage", "x", "--out", "m"), "unknown task 'langage'"),
        (("train", "language", "x"), "the model file is not given; expected --out MODEL; try --out x.model"),
        (("train", "language", "x", "--hidden", "2.5"), "hidden = '2.5'; expected a whole number"),
        (("train", "language", "x", "--set", "hiden=3"), "unknown option 'hiden'"),
        (("sample", "m", "--prompt", "-x"), "try --prompt=VALUE if the value begins with a dash"),
        (("sample", "m", "--temperature", "warm"), "argument --temperature: invalid float value: 'warm'"),
        (("sample", "m", "--engine", "cuda"), "argument --engine: invalid choice: 'cuda'"),
        (("predict", "m", "--top", "0"), "--top 0; expected at least 1"),
        (("evaluate", "m", "x", "--lanes", "0"), "--lanes 0; expected at least 1"),
        (("evaluate", "m", "x", "--dynamic-lr", "-1"), "--dynamic-lr -1.0; expected a finite number above 0"),
        (("score", "nowhere", "f"), "nowhere: there is no such file"),
        (("train", "language", "nowhere.txt", "--out", "m"), "nowhere.txt: no such file or folder"),
        (("train", "language", "x", "--config", "no.toml", "--out", "m"), "no.toml: there is no such file"),
        (("train", "language", "x", "--device", "cuda", "--out", "m"), "device = 'cuda'; expected cpu"),
    ],
)
def test_bad_usage_is_one_line_with_a_remedy(
    arguments: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert told in refused(run(*arguments))
    assert not list(tmp_path.iterdir())


def test_files_may_stand_behind_options():
    model, lines = small().word, small().few
    assert run("predict", model, "--format", "jsonl", lines, "--top", 1).code == 0
    assert run("predict", "--top", 1, model, "--format", "jsonl", lines).code == 0


def test_debug_shows_the_traceback():
    done = subprocess.run([*COMMAND, "score", "nowhere", "--debug"], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr and "UsageError" in done.stderr


def test_a_closed_pipe_is_silent():
    with start("score", small().word, small().text) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read().decode().splitlines()
    assert process.returncode == 128 + signal.SIGPIPE
    assert len(told) == 1 and told[0].startswith("each line is scored from the zero state")
    with start("--help") as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        told = process.stderr.read()
    assert (told, process.returncode) == (b"", 128 + signal.SIGPIPE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_told_once():
    with open("/dev/full", "wb") as full, start("score", small().word, small().text, stdout=full) as process:
        told = process.communicate()[1].decode().splitlines()
    assert process.returncode == 3
    assert told[1:] == [f"error: {os.strerror(28)}"]


def test_closed_streams_are_no_crash():
    model, lines = small().word, small().few
    closed = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *COMMAND, "score", model], capture_output=True)
    assert closed.returncode == 2 and closed.stderr.endswith(
        b"error: stdin is closed; expected lines on stdin, or FILE\n"
    )
    unheard = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *COMMAND, "score", model, lines])
    assert unheard.returncode == 0


def test_answers_are_utf8_whatever_the_locale():
    environment = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [*COMMAND, "score", small().char], input="né\n".encode(), capture_output=True, env=environment
    )
    assert done.returncode == 0 and done.stdout.endswith("\tné\n".encode())


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_leave_no_half_written_answer(number: int, code: int, tmp_path: Path):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("this signal is ignored here, as under nohup")
    with start("score", small().word, "--output", tmp_path / "answers") as process:
        assert process.stdin and process.stderr
        process.stdin.write(b"the cat sat .\n")
        process.stdin.flush()
        process.stderr.readline()  # it is at work
        deadline = time.monotonic() + 60
        while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        told = process.communicate()[1].decode()
    assert process.returncode == code
    assert told.startswith("error: ") and told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_output_is_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "answers"
    lines = b"the cat sat .\na dog ran .\n"
    assert run("score", small().word, "--output", path, stdin=lines).code == 0
    assert path.read_text() == run("score", small().word, stdin=lines).out
    before = path.read_bytes()
    told = refused(run("score", small().word, "--output", path, stdin=lines))
    assert told == f"{path}: exists already; try another name, or --force to replace it"
    refused(run("score", small().word, "--output", path, "--force", stdin=lines + b"\xff\n"))
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]
    assert run("predict", small().word, "--output", path, "--force", stdin=lines).code == 0
    assert path.read_text().count("\n") == 2
    assert "is not a regular file" in refused(run("score", small().word, "--output", tmp_path, "--force"))
    done = run("score", small().word, "--output", tmp_path / "no" / "answers", stdin=lines)
    assert "its folder does not exist; try mkdir -p" in refused(done, 3)


def test_a_file_size_limit_keeps_the_old_answers(tmp_path: Path):
    path = tmp_path / "answers"
    path.write_text("old\n")
    limited = 'ulimit -f 1 && exec "$@"'
    command = [*COMMAND, "score", small().word, small().text, "--output", path, "--force"]
    done = subprocess.run(["sh", "-c", limited, "sh", *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 3 and "existing files are intact" in done.stderr.splitlines()[-1]
    assert path.read_text() == "old\n" and [*tmp_path.iterdir()] == [path]


def test_evaluate_help_lists_the_figures_of_every_output():
    # Every key of the dicts that `figures` (and the score of texts) returns.
    keys = set[str]()
    for path in [*(PACKAGE / "tasks/outputs").glob("*.py"), PACKAGE / "tasks/metrics/bleu.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in ("figures", "score"):
                for part in ast.walk(node):
                    names = part.keys if isinstance(part, ast.Dict) else [getattr(part, "slice", None)]
                    keys |= {
                        n.value for n in names if isinstance(n, ast.Constant) and isinstance(n.value, str)
                    }
    assert len(keys) > 30
    text = run("evaluate", "--help").out
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()


WATCHED = """
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from unrolled.cli import main
for words in json.loads(sys.argv[1]):
    code = main(words)
    slow = [name for name in ("torch", "soundfile", "av") if name in sys.modules]
    read = [path for path in opened if path in sys.argv[2].split()]
    print(json.dumps([code, slow, read]))
"""


def test_what_can_be_rejected_is_rejected_before_torch_is_imported_and_data_is_read(tmp_path: Path):
    """The time to say no is that of a start: nothing is opened but a configuration."""
    run = tmp_path / "done.run"
    run.mkdir()
    for name, content in (
        ("text.txt", "some text"),
        ("table.csv", "text,label\na,b\n"),
        ("done", "a model"),
        ("done.run/config.json", "{}"),
        ("alone", "a model"),
        ("notes.bak.csv.x", "x"),
        ("bad.toml", "hidden = 'x'"),
        ("empty.csv", ""),
    ):
        (tmp_path / name).write_text(content)
    os.mkfifo(tmp_path / "pipe.csv")
    text, table = "text.txt", "table.csv"
    cases = (
        ((text,), "--out MODEL"),
        ((text, "--out", "done"), "done: exists already, with its run folder; try --resume "),
        ((text, "--out", "alone"), "alone: exists already; try another name, or --force "),
        ((text, "--out", "alone", "--resume"), "there is no alone.run that --resume could continue"),
        ((text, "--out", "."), "is a folder"),
        ((text, "--out", "none/m"), "there is no such folder; try mkdir -p"),
        (("test.txt", "--out", "new"), "no such file or folder; try 'text.txt'"),
        ((text, "--valid", "v", "--out", "new"), "v: no such file or folder"),
        ((text, "--bidirectional", "--out", "new"), "bidirectional model would see the next step"),
        ((text, "--minutes", "0", "--out", "new"), "0 minutes are too short"),
        (
            (text, "--minutes", "1", "--deterministic", "--out", "new"),
            "a deterministic training cannot have a budget of minutes",
        ),
        ((table, "--test", "t", "--out", "new"), "t: no such file or folder"),
        (("empty.csv", "--out", "new"), "empty file"),
        (("pipe.csv", "--out", "new"), "not a regular file"),
        (("notes.bak.csv.x", "--out", "new"), "cannot determine the format"),
        ((table, "--columns", "z=text", "--out", "new"), "--columns has unknown 'z'"),
        ((table, "--config", "bad.toml", "--out", "new"), "hidden = 'x'; expected a whole number"),
        ((table, "--front", "time", "--out", "new"), "does not support 'front'"),
        ((table, "--horizon", "2", "--out", "new"), "does not support 'horizon'"),
    )
    commands = [
        ["train", "language" if words[0].endswith("txt") else "classify", *words] for words, _ in cases
    ]
    commands += [
        ["train", "clasify", table],
        ["compare", "classify", "tabel.csv"],
        ["compare", "language", "none.txt"],
    ]
    expected = [said for _, said in cases]
    expected += [
        "unknown task 'clasify'; ",
        "no such file or folder; try 'table.csv'",
        "no such file or folder",
    ]
    found = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(commands), "text.txt table.csv"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    for line, told, said, words in zip(
        found.stdout.splitlines(), found.stderr.splitlines(), expected, commands, strict=True
    ):
        assert json.loads(line) == [2, [], []], words
        assert told.startswith("error: ") and said in told, words
    assert not (tmp_path / "new.run").exists()
