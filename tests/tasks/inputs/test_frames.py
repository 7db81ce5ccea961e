"""Frames in: pictures as bytes, their tags, the convolution, and what is done in clips that nobody has seen."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clips import write_actions, write_changes
from support.networks import spec_of
from support.small_models import apart, run, temporary
from support.tolerances import FLOAT32, TOLERANCES
from unrolled.core.config import DataConfig
from unrolled.core.config import build as configure
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.features import video_augment, video_frames
from unrolled.datasets.example_batches import ExampleEpoch, batches_by_length
from unrolled.datasets.example_dataset import prepare
from unrolled.datasets.example_source import from_files
from unrolled.datasets.example_store import EncodedExample, write_examples
from unrolled.inference.open_model import open_trained
from unrolled.inference.predictor import forward
from unrolled.models import model_file
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.frontends import FRONTS, Sizes
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import NetworkSpec
from unrolled.nn.architectures import build
from unrolled.nn.torch_engine import TorchEngine
from unrolled.tasks.fill import resolve_data
from unrolled.tasks.inputs.frames import FrameInput, frame_input, learn_frames
from video import bag_answers, bag_of_frames, split

PLACE = Place(Path("made"), 1)
SMALL = ("--set", "frame_size=16", "--hidden", "24", "--threads", "1", "--seed", "3")


@cache
def home() -> Path:
    """Clips of a pair that only order tells apart, and a model of them; clips of two actions, and a model of those."""
    folder = temporary()
    write_actions(folder / "train", 48, 1, ("open", "close"))
    write_actions(folder / "test", 24, 2, ("open", "close"))
    table = write_changes(folder / "two", 6, 3)
    commands = [
        ["train", "recognize", str(folder / "train"), "--out", str(folder / "m"), "--epochs", "10", *SMALL],
        ["train", "frames:tags", str(table), "--out", str(folder / "tags"), "--epochs", "2", *SMALL],
    ]
    apart(*commands)
    return folder


# ---- pictures as numbers


def test_a_picture_s_numbers_tell_its_shape():
    known: dict[int, tuple[int, int]] = {}
    for side in range(1, 257):
        for channels in video_frames.CHANNELS:
            assert known.setdefault(channels * side * side, (side, channels)) == (side, channels)
            assert video_frames.shape(channels * side * side) == (side, channels)
    assert video_frames.shape(5) == (0, 0)


def test_pictures_shrink_to_means_and_grow_by_repeating():
    x = np.random.default_rng(0).integers(0, 256, (2, 12, 8, 1), np.uint8)
    small = video_frames.resized(x, 4)
    assert np.abs(small[..., 0] - x[..., 0].reshape(2, 4, 3, 4, 2).mean(axis=(2, 4))).max() <= 0.5
    assert video_frames.resized(x[:, :4, :4], 8)[0, ::2, ::2].tolist() == x[0, :4, :4].tolist()


def test_differences_are_what_changed():
    x = np.array([[0], [255], [255], [5]], np.uint8).reshape(4, 1, 1, 1)
    assert video_frames.with_differences(x)[:, 0, 0].tolist() == [[0, 128], [255, 255], [255, 128], [5, 3]]


@given(
    st.integers(0, 2**32),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
    st.sampled_from(video_frames.CHANNELS),
)
def test_a_clip_is_varied_by_its_chance_alone(seed: int, steps: int, flip: bool, steady: bool, channels: int):
    x = np.random.default_rng(seed).integers(0, 256, (steps, channels * 64), np.uint8)
    before = x.copy()
    one, again = (
        video_augment.augment_clip(x, np.random.default_rng((seed, 1)), flip=flip, steady=steady)
        for _ in range(2)
    )
    assert np.array_equal(one, again) and np.array_equal(x, before)
    assert one.dtype == np.uint8 and one.shape[1] == x.shape[1]
    assert len(one) == steps if steady else abs(len(one) - steps) <= 0.25 * steps + 1
    if channels in (2, 6):  # made anew of what is shown
        shown = one.reshape(len(one), 8, 8, channels)
        assert np.array_equal(video_frames.with_differences(shown[..., : channels // 2]), shown)


def test_only_a_clip_that_may_be_mirrored_is():
    picture = np.zeros((1, 8, 8, 1), np.uint8)
    picture[:, :, :4] = 200  # light on the left
    sides: dict[bool, set[bool]] = {}
    for flip in (False, True):
        for i in range(20):
            rng = np.random.default_rng(i)
            again = video_augment.augment_clip(picture.reshape(1, -1), rng, flip=flip, steady=True).reshape(
                8, 8
            )
            left, right = again.mean(0)[[1, 6]]
            sides.setdefault(flip, set()).add(bool(right > left))
    assert sides == {False: {False}, True: {False, True}}


# ---- the input kind


def an_input(**more: object) -> FrameInput:
    return frame_input(
        {"side": 8, "colour": False, "rate": 10.0, "differences": False, "longest": 50, **more}
    )


def test_json_there_and_back():
    kind, words = learn_frames(
        [Example(Path("a.mp4"), "x", PLACE)], DataConfig(frame_size=24, colour=True, frame_rate=10.0)
    )
    assert frame_input(json.loads(json.dumps(kind.to_json()))) == kind
    assert kind.n_x == 24 * 24 * 3 and "24 x 24, in colour, 10 per second" in words
    for damage in ({"side": 0}, {"side": 1e9}, {"colour": 1}, {"rate": "x"}, {"more": 1}):
        with pytest.raises(DataError):
            frame_input({**kind.to_json(), **damage})


def test_pictures_in_memory_are_brought_to_size_and_channels():
    grey, colour = an_input(), an_input(colour=True, differences=True)
    x = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    assert grey.encode(x).shape == (3, 64) and colour.encode(x).shape == (3, 64 * 6)
    assert np.array_equal(grey.encode(x[..., 0]), grey.encode(x[..., :1]))
    for wrong in (x.astype(float), x[0, 0], np.zeros((60, 8, 8), np.uint8), np.zeros((2, 8, 8, 2), np.uint8)):
        with pytest.raises(DataError, match="made:1"):
            grey.encode(wrong, PLACE)


def test_tags_go_with_the_pictures_that_are_taken(tmp_path: Path):
    table = write_changes(tmp_path, 2, 5)
    config = resolve_data(configure("frames:tags"))
    for example in from_files([table], config).examples():
        found = an_input(longest=400).load_file(example)
        every = an_input(rate=0.0, longest=400).load_file(example)
        assert every.y == example.y and len(every.x) == len(example.y)
        assert len(found.x) == len(found.y) < len(every.y)
        assert split(found.y)[1:] == split(every.y)[1:]
    rows = table.read_text().splitlines()
    table.write_text(f"{rows[0]}\n{rows[1]} sit\n")
    (short,) = from_files([table], config).examples()
    with pytest.raises(DataError, match=r"clips.csv:2: .*frames and .* tags"):
        an_input(longest=400).load_file(short)


def test_bytes_stay_bytes_on_disk_and_in_a_batch(tmp_path: Path):
    x = [np.full((steps, 64), steps, np.uint8) for steps in (3, 5)]
    part = write_examples(tmp_path, [EncodedExample(one, np.array(0), PLACE) for one in x], targets="one")
    assert part.x.dtype == np.uint8 and (tmp_path / "x").stat().st_size == 8 * 64
    ((batch, _),) = batches_by_length(part, 2)
    assert batch.x.dtype == np.uint8 and batch.x[0, 3:].max() == 0 and batch.x.shape == (2, 5, 64)


# ---- the convolution


def by_loop(p: dict[str, np.ndarray], x: np.ndarray, side: int, channels: int) -> np.ndarray:
    """fronts/frames.py as its docstring has it, a place at a time."""
    out: list[np.ndarray] = []
    for picture in x:
        a = ((picture - picture.mean()) / (picture.std() + 4)).reshape(side, side, channels)
        for number in (1, 2, 3):
            W, b = p[f"W_{number}"], p[f"b_{number}"]
            W = W.reshape(len(W), a.shape[2], 3, 3)
            places = range(0, a.shape[0], 2)
            made = np.zeros((len(places), len(places), len(W)))
            for i, row in enumerate(places):
                for j, column in enumerate(places):
                    z = b.copy()
                    for u in range(3):
                        for v in range(3):
                            y, w = row + u - 1, column + v - 1
                            if 0 <= y < a.shape[0] and 0 <= w < a.shape[1]:
                                z += W[:, :, u, v] @ a[y, w]
                    made[i, j] = np.maximum(z, 0)
            a = made
        out.append(np.maximum(p["W"] @ a.reshape(-1) + p["b"], 0))
    return np.array(out)


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (11, 2), (9, 6)])
def test_the_convolution_is_a_loop_over_places(side: int, channels: int):
    sizes, rng = Sizes(side * side * channels, 5, causal=True), np.random.default_rng(0)
    p = FRONTS["frames"].initialise(sizes, rng)
    p = {name: value + 0.1 * rng.standard_normal(value.shape) for name, value in p.items()}
    assert {name: value.shape for name, value in p.items()} == FRONTS["frames"].shapes(sizes)
    x = rng.integers(0, 256, (3, sizes.n_x)).astype(np.float64)
    made, _ = FRONTS["frames"].run(sizes, p, x, np.zeros(0))
    np.testing.assert_allclose(made, by_loop(p, x, side, channels), atol=TOLERANCES["float64"]["oracle"])


def a_network(**more: object) -> tuple[NetworkSpec, dict[str, np.ndarray]]:
    spec = spec_of(n_x=128, n_y=3, n_a=5, ids=False, front="frames", front_size=6, **more)
    return spec, {name: value.astype(np.float64) for name, value in initialise(spec, 0).items()}


@pytest.mark.parametrize("architecture", ["many-to-many", "many-to-one"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_both_engines_and_every_company_say_the_same(architecture: str, bidirectional: bool):
    spec, tensors = a_network(architecture=architecture, bidirectional=bidirectional)
    x = np.random.default_rng(1).integers(0, 256, (4, 7, 128), np.uint8)  # with garbage past the ends
    lengths = np.array([7, 1, 4, 0])
    ours, _ = NumpyEngine(spec, tensors).run(x, lengths)
    theirs, _ = TorchEngine(spec, tensors).run(x, lengths)
    np.testing.assert_allclose(theirs, ours, atol=TOLERANCES["float64"]["forward"])
    for row, length in enumerate(lengths.tolist()):
        alone, _ = TorchEngine(spec, tensors).run(x[row : row + 1, : max(1, length)], lengths[row : row + 1])
        own = ours[row, :length] if architecture == "many-to-many" else ours[row]
        np.testing.assert_allclose(alone[0, : len(own)], own, atol=TOLERANCES["float64"]["padding"])


def test_step_by_step_is_the_whole():
    spec, tensors = a_network()
    x = np.random.default_rng(1).integers(0, 256, (2, 5, 128), np.uint8)
    for engine in (NumpyEngine(spec, tensors), TorchEngine(spec, tensors)):
        whole, _ = engine.run(x)
        state = engine.start(2)
        for t in range(5):
            answer, _, state = engine.step(state, x[:, t])
            np.testing.assert_allclose(answer, whole[:, t], atol=TOLERANCES["float64"]["forward"])


def test_gradients_are_those_of_differences():
    spec, tensors = a_network(architecture="many-to-one")
    network = build(spec, tensors)
    x = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (2, 3, 128), np.uint8))
    y, lengths = torch.tensor([0, 2]), torch.tensor([3, 2])

    def loss() -> torch.Tensor:
        return network.loss(x, y, lengths)[0]

    loss().backward()
    rng = np.random.default_rng(3)
    for name, weight in network.named_parameters():
        if name.startswith("front."):
            assert weight.grad is not None
            at = tuple(int(rng.integers(size)) for size in weight.shape)
            with torch.no_grad():
                sides: list[float] = []
                for sign in (1, -1):
                    weight[at] += sign * 1e-6
                    sides.append(float(loss()))
                    weight[at] -= sign * 1e-6
            assert abs((sides[0] - sides[1]) / 2e-6 - float(weight.grad[at])) < 1e-6, name


def test_a_front_of_pictures_wants_pictures():
    with pytest.raises(UsageError, match="5 numbers"):
        initialise(spec_of(n_x=5, n_y=2, n_a=4, ids=False, front="frames", front_size=4), 0)


# ---- from clips to answers


def test_order_is_learnt_where_a_bag_of_the_same_pictures_cannot(tmp_path: Path):
    metrics = json.loads(run("evaluate", home() / "m", home() / "test", "--json").out)
    assert metrics["accuracy"] >= 0.8, metrics  # a bag: 0.5; which clips validate follows their folder's name
    config = resolve_data(configure("recognize", {"frame_size": 16}))
    train, test = (from_files([home() / name], config) for name in ("train", "test"))
    ready = prepare(train, test, config, tmp_path)
    assert ready.valid is not None
    p = bag_of_frames(ready.train, 2, ready.input.n_x, 10, 3, size=24)
    guessed = bag_answers(p, ready.valid, 2, ready.input.n_x, size=24)
    right = [one == int(ready.valid.row(number)[1]) for number, one in enumerate(guessed)]
    assert np.mean(right) <= 0.75 < metrics["accuracy"]


@pytest.mark.parametrize("name", ["m", "tags"])
def test_engines_and_company_of_a_trained_model(name: str, tmp_path: Path):
    numpy, other = (open_trained(home() / name, engine) for engine in ("numpy", "torch"))
    source = home() / "test" if name == "m" else home() / "two" / "clips.csv"
    examples = list(from_files([source], numpy.config).examples())[:6]
    encoded = [numpy.input.encode(example.x) for example in examples]
    part = write_examples(tmp_path, [EncodedExample(x, np.array(0), PLACE) for x in encoded], targets="one")
    for batch, numbers in batches_by_length(part, 6):
        together, _ = other.engine.run(batch.x, batch.lengths)
        for row, number, length in zip(together, numbers.tolist(), batch.lengths.tolist(), strict=True):
            alone = forward(numpy, encoded[number].reshape(length, 16, 16, 1))
            own = row[-1:] if name == "m" else row[:length]
            assert np.abs(own - (alone[-1:] if name == "m" else alone)).max() <= 20 * FLOAT32["forward"]


def test_a_causal_model_decides_at_every_picture_and_the_last_is_its_answer():
    lines = run("predict", home() / "m", home() / "test", "--format", "jsonl").out.splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 24 and {row["id"].split("/")[0] for row in rows} == {"open", "close"}
    assert all(row["steps"][-1] == row["label"] for row in rows)
    assert len({len(row["steps"]) for row in rows}) > 1
    model = open_trained(home() / "m")
    assert model.stepwise is not None
    x = model.input.encode(home() / "test" / rows[0]["id"])
    state = model.stepwise.start(1)
    for t, said in enumerate(rows[0]["steps"]):
        answer, _, state = model.stepwise.step(state, x[None, t])
        assert model.output.to_answer(answer, [], 1, {}).text == said


def test_a_broken_clip_is_named_and_the_others_have_their_answers(tmp_path: Path):
    for name in ("open", "close"):
        shutil.copytree(home() / "test" / name, tmp_path / "clips" / name)
    whole = next((tmp_path / "clips" / "open").glob("*.mp4"))
    whole.write_bytes(whole.read_bytes()[:2000])
    done = run("predict", home() / "m", tmp_path / "clips", "--format", "jsonl")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 5 and len(rows) == 24 and whole.name in done.err
    assert [row["id"] for row in rows if "error" in row] == [f"open/{whole.name}"]
    stopped = run("evaluate", home() / "m", tmp_path / "clips")
    assert stopped.code == 5 and f"error: {whole}:1: damaged" in stopped.err and "accuracy" in stopped.out
    report = run("check", "recognize", tmp_path / "clips")
    assert report.code == 2 and str(whole) in report.out and "--skip-bad 1" in report.out
    options = ("--epochs", "1", "--skip-bad", "1", *SMALL)
    done = run("train", "recognize", tmp_path / "clips", "--out", tmp_path / "m", *options)
    assert done.code == 0 and f"skipped {whole}:1: damaged" in done.err and "23 sequences" in done.err


def test_held_out_clips_stay_so_where_others_are_lost(tmp_path: Path):
    for number in range(220):
        folder = tmp_path / "clips" / ("dark", "light")[number % 2] / f"{number:03d}"
        folder.mkdir(parents=True)
        Image.new("L", (8, 8), 20 + number).save(folder / "1.png")
    config = resolve_data(configure("recognize", {"frame_size": 8, "skip_bad": 3}))
    whole = prepare(from_files([tmp_path / "clips"], config), None, config, tmp_path / "a")
    for number in (4, 100, 101):
        (tmp_path / "clips" / ("dark", "light")[number % 2] / f"{number:03d}" / "1.png").write_bytes(b"x")
    less = prepare(from_files([tmp_path / "clips"], config), None, config, tmp_path / "b")
    assert whole.valid is not None and less.valid is not None and len(less.skipped) == 3
    lost = {24, 120, 121}  # their brightness
    for part, other in ((whole.train, less.train), (whole.valid, less.valid)):
        levels = [{int(p.row(i)[0][0, 0]) for i in range(len(p))} for p in (part, other)]
        assert levels[0] - lost == levels[1]


def test_training_varies_clips_and_resumes_to_the_bit(tmp_path: Path):
    config = resolve_data(configure("recognize", {"frame_size": 16}))
    ready = prepare(from_files([home() / "test"], config), None, config, tmp_path)

    def epoch(number: int) -> ExampleEpoch:
        vary = video_augment.clip_augmenter(ready.input, flip=False, steady=False)
        return ExampleEpoch(ready.train, 4, 1, number, np.zeros(0, np.bool_), vary)

    assert all(np.array_equal(a.x, b.x) for a, b in zip(epoch(0), epoch(0), strict=True))
    assert not all(
        a.x.shape == b.x.shape and (a.x == b.x).all() for a, b in zip(epoch(0), epoch(1), strict=True)
    )


def test_clips_that_the_cache_has_no_room_for_train_the_same_weights(tmp_path: Path):
    clips = home() / "train"
    trained = [
        ["train", "recognize", clips, "--out", tmp_path / name, "--epochs", "2", "--cache", size, *SMALL]
        for name, size in (("kept", "100"), ("opened", "0"))
    ]
    apart(*trained)
    tensors = [model_file.load(tmp_path / name).tensors for name in ("kept", "opened")]
    assert all(np.array_equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    sizes = [(tmp_path / f"{name}.run/data/train/x").stat().st_size for name in ("kept", "opened")]
    assert sizes[0] > 48 * 16**2 and sizes[1] == 0


def test_the_recognizer_learns_from_files_and_from_pictures(tmp_path: Path):
    from unrolled import Recognizer, load

    train = sorted((home() / "train").rglob("*.*"))[::3]
    y = [path.parent.name for path in train]
    made = Recognizer(epochs=2, hidden=8, seed=1, threads=1, frame_size=16).fit(train, y)
    assert set(made.classes_) == {"open", "close"} and len(made.decisions(train[:2])[0]) > 3
    made.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert isinstance(again, Recognizer) and again.predict(train).tolist() == made.predict(train).tolist()
    x = [np.random.default_rng(i).integers(0, 256, (4 + i, 20, 20), np.uint8) for i in range(4)]
    other = Recognizer(epochs=1, hidden=4, bidirectional=True, threads=1, frame_size=8)
    assert other.fit(x, ["a", "b", "a", "b"]).predict_proba(x).shape == (4, 2)
    with pytest.raises(UsageError, match="gives one answer"):
        other.decisions(x)


def test_what_cannot_be_is_refused(tmp_path: Path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "clips.csv").write_text("clip,label\nnone.mp4,sit\n")
    for words, said in (
        (("recognize", tmp_path / "empty"), "no clips"),
        (("recognize", tmp_path / "a.png"), "one folder per class"),
        (("recognize", tmp_path / "clips.csv"), "no such file"),
        (("frames:tags", tmp_path), "no tags"),
        (("classify", tmp_path / "a.png"), "clips can only be read as frames"),
        (("numbers:label", tmp_path / "clips.csv", "--frame-size", "16"), "does not support 'frame_size'"),
        (("recognize", tmp_path / "none"), "cannot tell|no such file"),
    ):
        done = run("train", *words, "--out", tmp_path / "m")
        assert done.code == 2 and not (tmp_path / "m").exists()
        assert any(part in done.err for part in said.split("|")), done.err
