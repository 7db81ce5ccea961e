"""A line of writing in a picture, read as columns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.small_lines import write_lines
from support.small_models import run
from support.tolerances import FLOAT32
from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.data.features.video_augment import augment_line
from unrolled.data.media import image
from unrolled.datasets.example_source import from_files
from unrolled.inference.open_model import open_trained
from unrolled.inference.predictor import forward
from unrolled.tasks.inputs.images import ImageInput, image_input, learn_images

PLACE = Place(Path("made"), 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lines")
    table = write_lines(folder / "train", 160, 1)
    write_lines(folder / "test", 40, 2)
    words = ["train", "images:sequence", str(table), "--out", str(folder / "m"), "--frame-size", "14"]
    words += ["--hidden", "32", "--front", "none", "--epochs", "14", "--threads", "1", "--seed", "3"]
    done = subprocess.run([sys.executable, "-m", "unrolled", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_a_line_keeps_its_proportions(tmp_path: Path):
    Image.new("RGB", (300, 60), (255, 255, 255)).save(tmp_path / "a.png")
    found, _ = image.line(str(tmp_path / "a.png"), 20, 400)
    assert found.shape == (20, 100) and found.min() == 255
    with pytest.raises(DataError, match="100 columns at a height of 20; expected at most 99"):
        image.line(str(tmp_path / "a.png"), 20, 99)
    Image.new("L", (60_000, 2)).save(tmp_path / "long.png")
    with pytest.raises(DataError, match="too wide for its height"):
        image.line(str(tmp_path / "long.png"), 256, 10**9)


def test_dark_on_light_is_light_on_dark():
    picture = np.full((8, 20), 230, np.uint8)
    picture[2:6, 5:7] = 10
    kind = ImageInput(8, 100)
    one, other = kind.encode(picture), kind.encode(255 - picture)
    assert one.shape == (20, 8) and np.allclose(one, other, atol=1e-5) and one[5, 3] > 0 > one[0, 0]
    for wrong in (picture[:4], picture.astype(float), picture[None]):
        with pytest.raises(DataError, match="made:1"):
            kind.encode(wrong, PLACE)


def test_json_there_and_back():
    kind, words = learn_images([Example(Path("a.png"), "x", PLACE)], DataConfig(frame_size=32, longest=900))
    assert image_input(json.loads(json.dumps(kind.to_json()))) == kind == ImageInput(32, 900)
    assert words == "1 images of lines, 32 pixels high"
    for damage in ({"height": 0}, {"height": True}, {"longest": "x"}, {"more": 1}):
        with pytest.raises(DataError):
            image_input({**kind.to_json(), **damage})


def test_a_line_is_varied_by_its_chance_alone():
    x = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    one, again = (augment_line(x, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, again) and one.shape[1] == 8 and one.dtype == np.float32
    assert len({len(augment_line(x, np.random.default_rng(i))) for i in range(20)}) > 4


def test_what_is_written_is_read(home: Path):
    metrics = json.loads(run("evaluate", home / "m", home / "test" / "lines.csv", "--json").out)
    assert metrics["cer"] < 0.5, metrics  # to say nothing has 1
    said = run("predict", home / "m", home / "test").out.splitlines()
    assert len(said) == 40
    alone = run("predict", home / "m", home / "test" / "0.png").out
    assert alone.strip() == said[0]
    report = run("check", "images:sequence", home / "test" / "lines.csv")
    assert report.code == 0 and "4 characters" in report.out and "40 sequences" in report.out


def test_both_engines_read_alike(home: Path):
    slow, quick = (open_trained(home / "m", engine) for engine in ("numpy", "torch"))
    for example in list(from_files([home / "test" / "lines.csv"], slow.config).examples())[:6]:
        found, expected = forward(quick, example.x), forward(slow, example.x)
        assert np.abs(found - expected).max() <= 20 * FLOAT32["forward"]


def test_a_broken_picture_is_named(home: Path, tmp_path: Path):
    table = write_lines(tmp_path / "broken", 10, 3)
    (tmp_path / "broken" / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    options = (
        "--out",
        tmp_path / "m",
        "--frame-size",
        "14",
        "--hidden",
        "4",
        "--epochs",
        "1",
        "--threads",
        "1",
    )
    done = run("train", "images:sequence", table, *options)
    assert done.code == 2 and f"{table}:6: " in done.err and "4.png" in done.err
    done = run("train", "images:sequence", table, *options, "--skip-bad", "1")
    assert done.code == 0 and "9 sequences" in done.err
    done = run("predict", home / "m", tmp_path / "broken")
    assert done.code == 5 and len(done.out.splitlines()) == 10
