"""Every option of every task: frozen dataclasses whose fields hold default, help, choices and range.

`None` means "chosen for you" and is filled in by `tasks/sizes.py` from the task, the data and the budget, so that a
finished configuration has no blanks. Nothing here imports NumPy or torch: `unrolled --help` must be quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

Value = TypeVar("Value")


def option(
    default: Value,
    text: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: int | float | None = None,
    high: int | float | None = None,
    group: str | None = None,
) -> Value:
    """A field of a configuration: its default, its help, and what values it takes (`low`, `high` inclusive).

    group: the entry points of other packages whose names may be chosen too, see extensions.py.
    """
    metadata = {"help": text, "choices": choices, "low": low, "high": high, "group": group}
    return field(default=default, metadata=metadata)


UNITS = ("word", "white", "char", "subword")
FORMATS = ("csv", "tsv", "jsonl", "parquet", "conll", "ts", "npz")
QUOTING = ("auto", "csv", "none")


@dataclass(frozen=True)
class DataConfig:
    """How a person's files become sequences."""

    unit: str | None = option(
        None,
        "what one token is; white: split at white space only; subword: pieces of words, learnt (translate's default)",
        choices=UNITS,
    )
    source_unit: str | None = option(None, "the same of what is read (default: --unit)", choices=UNITS)
    target_unit: str | None = option(None, "the same of what is written (default: --unit)", choices=UNITS)
    shared: bool | None = option(
        None,
        "one vocabulary and one embedding for what is read and written (default of subwords for subwords)",
    )
    documents: str | None = option(
        None,
        "where state starts from zeros: each file (default for char), line (default for word) or blank-line block",
        choices=("file", "line", "blank"),
    )
    lower: bool = option(False, "lower-case the text")
    vocab_size: int = option(10_000, "how many of the most frequent tokens are kept; others are <UNK>", low=1)
    hold_out: float = option(
        0.1,
        "share held out for validation where no --valid is given: a text's end, or sequences at random",
        low=0,
        high=0.9,
    )
    columns: str | None = option(
        None,
        "which columns of a table are what: x=text,y=label,id=key,by=series,time=date; several with + (default: by "
        "name)",
    )
    format: str | None = option(
        None,
        "the format of the files of labelled data (default: by the extension of the name, else by the content)",
        choices=FORMATS,
        group="unrolled.readers",
    )
    encoding: str | None = option(
        None, "the encoding of text files without a byte order mark, such as cp1252 (default UTF-8)"
    )
    quoting: str | None = option(
        None,
        "quotes in tables; csv: around fields, as RFC 4180 has it; none: ordinary characters; auto: csv, but in "
        "tab-separated files none unless they are consistently quoted (default auto)",
        choices=QUOTING,
    )
    resample: str | None = option(
        None, "put series with time stamps on a regular grid, a mean for each step: 10s, 15min, 1h, 1d"
    )
    affixes: bool | None = option(
        None, "beginnings, ends and shapes of words as further input (default for tags)"
    )
    classes: str | None = option(
        None, "the classes in their order, separated by commas (default: as found, sorted)"
    )
    skip_bad: int = option(0, "how many bad rows may be left out, each of them told", low=0)
    bands: int = option(40, "bands of the mel scale that sound is cut into", low=4, high=256)
    rate: int | None = option(
        None,
        "samples a second at which sound is heard (default: as most files, at most 16000)",
        low=4_000,
        high=96_000,
    )
    normalise: str | None = option(
        None,
        "sound by the mean of the whole, or by a running one (default where a model reads forward alone)",
        choices=("utterance", "running"),
    )
    frame_size: int | None = option(None, "side of each picture of a clip (default 48)", low=8, high=256)
    frame_rate: float | None = option(
        None, "pictures a second; 0: all there are (default 10)", low=0, high=1000
    )
    colour: bool | None = option(None, "pictures of clips in colour (default grey)")
    differences: bool | None = option(None, "what changed since the picture before beside each picture")
    longest: int | None = option(None, "pictures of a clip; one with more is refused (default 600)", low=1)
    cache: int = option(
        4096, "MB of clips, pictures or sounds kept decoded; others are decoded again when read", low=0
    )
    horizon: int | None = option(None, "forecast so many steps of a series of numbers", low=1, high=4096)
    grid: int | None = option(None, "steps of a quarter note (default 24; 4 of rolls)", low=1, high=480)
    transpose: int | None = option(None, "semitones tunes move at most (default 5)", low=0, high=12)
    repeats: bool | None = option(
        None, "what followed where the last steps were heard before, as further input (default for rolls)"
    )
    history: int = option(64, "steps of a series that a forecast sees", low=1, high=65_536)


@dataclass(frozen=True)
class ModelConfig:
    """The recurrent network."""

    cell: str = option(
        "lstm", "the recurrent cell", choices=("lstm", "gru", "gru-simple", "rnn"), group="unrolled.cells"
    )
    activation: str = option("tanh", "g1 of the basic RNN", choices=("tanh", "relu"))
    bidirectional: bool | None = option(
        None, "read in both directions (default for labels and tags; not for language models)"
    )
    layers: int | None = option(None, "stacked recurrent layers", low=1, high=32)
    hidden: int | None = option(None, "units a layer (n_a)", low=1, high=65_536)
    embedding: int | None = option(
        None, "size of the embedding; 0 feeds bare one-hot vectors", low=0, high=65_536
    )
    tie: bool | None = option(
        None, "one matrix for embedding and output layer (default of words, and of shared subwords)"
    )
    softmax: str = option(
        "exact", "output layer; adaptive is quicker with many words", choices=("exact", "adaptive")
    )
    pooling: str | None = option(
        None, "what one answer sees of all steps (default max)", choices=("last", "mean", "max", "attention")
    )
    crf: bool | None = option(None, "choose the tags of a sentence as one path (default)")
    front: str | None = option(
        None,
        "what numbers go through first; time: a convolution that halves time (default for sound); frames: a "
        "convolution of each picture (default for clips)",
        choices=("none", "time", "frames"),
    )
    front_size: int | None = option(
        None, "numbers a step behind the front (default: as hidden)", low=1, high=65_536
    )
    neighbours: int | None = option(
        None,
        "units that tell each key what its neighbours say, the same for all (default 32 of rolls)",
        low=0,
        high=65_536,
    )
    attention: str | None = option(
        None,
        "what a decoder sees of the encoder: none is its last state alone (default multiplicative)",
        choices=("none", "additive", "multiplicative"),
    )
    feeding: bool = option(False, "the decoder reads what it attended to at the step before; slower")
    decoder_layers: int | None = option(None, "layers of a decoder (default: --layers)", low=1, high=32)
    ordinal: bool = option(False, "the classes are a rating: near misses are better than far ones")


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained."""

    epochs: int | None = option(None, "passes over the training part (default 10 without --minutes)", low=1)
    minutes: float | None = option(
        None, "wall-clock budget, from start of the process to model on disk (default none)", low=0
    )
    batch_size: int | None = option(None, "sequences a step", low=1, high=65_536)
    window: int | None = option(None, "steps that back-propagation reaches through", low=1, high=65_536)
    optimizer: str = option(
        "muon",
        "muon for the recurrent matrices with adamw for the rest, or one for all",
        choices=("muon", "adamw", "sgd"),
    )
    lr: float | None = option(None, "highest learning rate", low=0)
    schedule: str = option(
        "cosine", "course of the learning rate", choices=("cosine", "onecycle", "plateau", "constant")
    )
    warmup: float = option(0.03, "share of the training in which the learning rate rises", low=0, high=1)
    clip: float = option(1.0, "largest norm of the gradient; 0 for none", low=0)
    weight_decay: float | None = option(None, "decoupled weight decay (matrices only)", low=0)
    momentum: float = option(0.0, "momentum of sgd", low=0, high=1)
    label_smoothing: float | None = option(
        None,
        "share of the target spread over all classes (default 0.1 of texts for texts, else none)",
        low=0,
        high=0.9,
    )
    average: float | None = option(
        None, "decay of the running average of the weights; 0 for none", low=0, high=1
    )
    dropout: float | None = option(
        None, "share of inputs to each layer and the output layer dropped", low=0, high=0.95
    )
    input_dropout: float | None = option(
        None,
        "share of the embedded input dropped (default: none of characters, --dropout of words)",
        low=0,
        high=0.95,
    )
    augment: bool | None = option(
        None,
        "vary sound in training: speed, pitch, microphone, noise, masks; clips: speed, place, light; tunes: key "
        "(default for all)",
    )
    flip: bool = option(False, "mirror clips too: where no class tells left from right")
    class_weights: bool = option(False, "rare classes weigh more: by the root of their rarity")
    variational: bool = option(
        False, "drop the same units at every step of a window (Gal and Ghahramani 2016)"
    )
    weight_dropout: float = option(
        0.0, "share of recurrent weights dropped (Merity et al. 2018)", low=0, high=0.95
    )
    zoneout: float = option(
        0.0,
        "share of units that keep their state at a step, by chance; when running, the mean of that "
        "(Krueger et al. 2017)",
        low=0,
        high=0.95,
    )
    first: float | None = option(
        None,
        "how much more than others a first token weighs (default 8 where each line is a document, else 1)",
        low=0,
        high=1000,
    )
    cold: float = option(0.1, "share of windows of long documents that start from zeros", low=0, high=1)
    patience: int = option(0, "stop after so many validations without a better loss; 0 for never", low=0)
    seed: int = option(0, "seed of all chance", low=0, high=2**31 - 1)
    threads: int | None = option(None, "threads; default: what is quickest here", low=1, high=4096)
    deterministic: bool = option(
        False,
        "the clock decides nothing: --epochs in place of --minutes; operations of no fixed order are refused",
    )
    device: str = option("cpu", "where to compute", choices=("cpu",))


@dataclass(frozen=True)
class Config:
    """A task with all its settings. Sections are TOML tables; option names are unique across them."""

    task: str
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()


SECTIONS: dict[str, type[DataConfig] | type[ModelConfig] | type[TrainConfig]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "training": TrainConfig,
}
