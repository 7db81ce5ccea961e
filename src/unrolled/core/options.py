"""Every option of every task: frozen dataclasses whose fields hold the default, the help, the choices and the range.

The default `None` means that the task, the data or the budget decides: `tasks/fill.py` and `tasks/sizes.py` fill it in.
A finished configuration has no blanks. This module imports neither NumPy nor torch, so that `unrolled --help` is quick.
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
    """Define a field of a configuration: its default, its help and its allowed values (`low` and `high` inclusive).

    text: the help, without the default, which `unrolled train TASK --help` adds. group: the entry points of other
    packages whose names are allowed too, see extensions.py.
    """
    metadata = {"help": text, "choices": choices, "low": low, "high": high, "group": group}
    return field(default=default, metadata=metadata)


UNITS = ("word", "white", "char", "subword")
FORMATS = ("csv", "tsv", "jsonl", "parquet", "conll", "ts", "npz")
QUOTING = ("auto", "csv", "none")


HISTORY = 64  # default of `history` for a series without seasons


@dataclass(frozen=True)
class DataConfig:
    """How files become sequences."""

    unit: str | None = option(
        None,
        "token unit. word: words and punctuation; white: split at white space; char: characters; subword: learned "
        "pieces of words",
        choices=UNITS,
    )
    source_unit: str | None = option(None, "token unit of the source text. Default: --unit", choices=UNITS)
    target_unit: str | None = option(None, "token unit of the target text. Default: --unit", choices=UNITS)
    shared: bool | None = option(None, "use one vocabulary and one embedding for source and target")
    documents: str | None = option(
        None,
        "what counts as one document. file: each file; line: each line; blank: each block between blank lines",
        choices=("file", "line", "blank"),
    )
    lower: bool = option(False, "convert the text to lower case")
    vocab_size: int = option(10_000, "maximum vocabulary size; rarer tokens become <UNK>", low=1)
    hold_out: float = option(
        0.1,
        "fraction held out for validation, unless --valid is given. One text or series: its end; other data: random "
        "sequences",
        low=0,
        high=0.9,
    )
    columns: str | None = option(
        None,
        "which column has which role, as ROLE=COLUMN. Roles: x (input), y (target), id, by (names the series), time. "
        "Example: x=text,y=label. Join several columns with +. Default: columns with the usual names",
    )
    format: str | None = option(
        None,
        "file format. Default: from the file extension, else from the content",
        choices=FORMATS,
        group="unrolled.readers",
    )
    encoding: str | None = option(
        None, "encoding of text files without a byte order mark, such as cp1252. Default: UTF-8"
    )
    quoting: str | None = option(
        None,
        "quotes in tables. csv: they enclose fields (RFC 4180); none: they are ordinary characters; auto: csv, "
        "except in tab-separated files that are not consistently quoted. Default: auto",
        choices=QUOTING,
    )
    resample: str | None = option(
        None,
        "resample series with time stamps to a regular step, such as 10s, 15min, 1h or 1d. Each step gets the mean "
        "of its rows",
    )
    affixes: bool | None = option(
        None, "also use prefixes, suffixes and word shapes (capitals, digits) as input features"
    )
    vectors: str | None = option(
        None,
        "file of pretrained word vectors: GloVe, word2vec or fastText as text; .npy with a list of words beside it; or "
        "a Model2Vec folder",
    )
    vectors_extra: int = option(
        50_000,
        "also keep the vectors of the N most frequent other words of the file, which are then known to the model",
        low=0,
        high=1_000_000,
    )
    classes: str | None = option(None, "the classes in order, separated by commas. Default: sorted by name")
    skip_bad: int = option(0, "skip up to N bad rows (each is reported)", low=0)
    bands: int = option(40, "number of mel bands", low=4, high=256)
    rate: int | None = option(
        None,
        "sample rate in Hz. Default: the rate of most files, at most 16000",
        low=4_000,
        high=96_000,
    )
    normalise: str | None = option(
        None,
        "normalisation of audio. utterance: by the mean of the recording; running: by a running mean, for streams. "
        "Default: running if the model reads only forward",
        choices=("utterance", "running"),
    )
    frame_size: int | None = option(None, "width and height of a video frame in pixels", low=8, high=256)
    frame_rate: float | None = option(None, "frames per second; 0: all frames of the file", low=0, high=1000)
    colour: bool | None = option(None, "read video frames in colour instead of grey")
    differences: bool | None = option(None, "also use the difference from the previous frame as input")
    longest: int | None = option(None, "maximum number of frames per clip; a longer clip is an error", low=1)
    cache: int = option(
        4096, "maximum size in MB of the decoded files kept on disk; other files are decoded again", low=0
    )
    horizon: int | None = option(None, "forecast N steps of a series of numbers", low=1, high=4096)
    grid: int | None = option(None, "time steps per quarter note", low=1, high=480)
    transpose: int | None = option(None, "augmentation: maximum transposition in semitones", low=0, high=12)
    repeats: bool | None = option(
        None, "also read which keys followed when the recent steps occurred earlier in the piece"
    )
    history: int | None = option(
        None,
        "past steps that a forecast reads. Default: 1 or 2 seasons, at least 64",
        low=1,
        high=65_536,
    )

    @property
    def past(self) -> int:
        """Number of past steps that a forecast reads: `history`, or its default for a series without seasons."""
        return self.history or HISTORY


@dataclass(frozen=True)
class ModelConfig:
    """The recurrent network."""

    cell: str = option(
        "lstm", "recurrent cell", choices=("lstm", "gru", "gru-simple", "rnn"), group="unrolled.cells"
    )
    activation: str = option("tanh", "activation function of the cell rnn", choices=("tanh", "relu"))
    bidirectional: bool | None = option(None, "read the sequence in both directions")
    layers: int | None = option(None, "number of stacked recurrent layers", low=1, high=32)
    hidden: int | None = option(None, "units per layer and direction (n_a)", low=1, high=65_536)
    embedding: int | None = option(
        None, "size of the token embedding; 0: one-hot vectors", low=0, high=65_536
    )
    tie: bool | None = option(None, "share one matrix between embedding and output layer")
    softmax: str = option(
        "exact", "output layer; adaptive is faster with a large vocabulary", choices=("exact", "adaptive")
    )
    pooling: str | None = option(
        None, "how the steps are pooled into one vector", choices=("last", "mean", "max", "attention")
    )
    wide: bool | None = option(None, "add a linear model of n-grams or statistics to the network")
    crf: bool | None = option(None, "choose all tags of a sentence together, with a conditional random field")
    front: str | None = option(
        None,
        "convolutional layer before the recurrent layers. time: convolution over time, which halves the number of "
        "steps; frames: convolution over each frame",
        choices=("none", "time", "frames"),
    )
    front_size: int | None = option(None, "outputs of the front layer", low=1, high=65_536)
    neighbours: int | None = option(
        None,
        "hidden units of the output layer that combines neighbouring piano keys; 0: no such layer",
        low=0,
        high=65_536,
    )
    attention: str | None = option(
        None,
        "how the decoder attends to the encoder; none: it reads only the last state",
        choices=("none", "additive", "multiplicative"),
    )
    feeding: bool = option(False, "the decoder also reads the context vector of the previous step (slower)")
    decoder_layers: int | None = option(None, "layers of the decoder. Default: --layers", low=1, high=32)
    ordinal: bool = option(
        False,
        "the classes are ordered: confusing neighbouring classes costs less than confusing distant ones",
    )


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained."""

    epochs: int | None = option(None, "maximum number of passes over the training set", low=1)
    minutes: float | None = option(
        None,
        "time limit in minutes, from the start of the command to the written model. Default: none",
        low=0,
    )
    batch_size: int | None = option(None, "sequences per batch", low=1, high=65_536)
    window: int | None = option(None, "steps of truncated back-propagation through time", low=1, high=65_536)
    optimizer: str = option(
        "muon",
        "optimiser. muon: Muon for the recurrent matrices, AdamW for all other weights",
        choices=("muon", "adamw", "sgd"),
    )
    lr: float | None = option(None, "maximum learning rate", low=0)
    schedule: str = option(
        "cosine", "learning rate schedule", choices=("cosine", "onecycle", "plateau", "constant")
    )
    warmup: float = option(0.03, "fraction of the training for learning rate warm-up", low=0, high=1)
    clip: float = option(1.0, "maximum norm of the gradient; 0: no clipping", low=0)
    weight_decay: float | None = option(None, "decoupled weight decay of the matrices", low=0)
    momentum: float = option(0.0, "momentum of sgd", low=0, high=1)
    label_smoothing: float | None = option(None, "label smoothing", low=0, high=0.9)
    average: float | None = option(
        None, "decay of the exponential moving average of the weights; 0: no average", low=0, high=1
    )
    dropout: float | None = option(
        None, "dropout between layers and before the output layer", low=0, high=0.95
    )
    input_dropout: float | None = option(None, "dropout of the embedded input", low=0, high=0.95)
    augment: bool | None = option(
        None,
        "data augmentation. Audio: speed, pitch, microphone, noise, masks; clips: speed, position, light; tunes: key",
    )
    flip: bool = option(
        False, "augmentation: also mirror clips; use it if no class depends on left and right"
    )
    class_weights: bool = option(False, "weight each class by 1/sqrt(its frequency)")
    variational: bool = option(
        False, "use one dropout mask for all steps of a window (Gal and Ghahramani 2016)"
    )
    weight_dropout: float = option(
        0.0, "dropout of the recurrent weights (Merity et al. 2018)", low=0, high=0.95
    )
    zoneout: float = option(
        0.0,
        "probability that a unit keeps its state at a step (Krueger et al. 2017)",
        low=0,
        high=0.95,
    )
    first: float | None = option(
        None,
        "loss weight of the first token of a document",
        low=0,
        high=1000,
    )
    cold: float = option(
        0.1, "fraction of the windows of long documents that start from the zero state", low=0, high=1
    )
    patience: int = option(0, "stop after N validations without a better loss; 0: never", low=0)
    seed: int = option(0, "random seed", low=0, high=2**31 - 1)
    threads: int | None = option(
        None,
        "number of threads. Default: the fastest number with `--minutes`; else one per core, or 1 for small models",
        low=1,
        high=4096,
    )
    deterministic: bool = option(
        False,
        "make runs reproducible: no decision depends on measured time, and a non-deterministic operation is an error",
    )
    device: str = option("cpu", "device to compute on", choices=("cpu",))


@dataclass(frozen=True)
class Config:
    """A task with all its options. Each section is a table in a TOML file. Option names are unique across sections."""

    task: str
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()


SECTIONS: dict[str, type[DataConfig] | type[ModelConfig] | type[TrainConfig]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "training": TrainConfig,
}
