"""Train the recurrent model of Joey NMT 2.3, with settings as similar to `unrolled` as possible.

- Vocabulary: subwords of `unrolled`, with one matrix for both embeddings and the output.
- Model: a bidirectional LSTM encoder, an LSTM decoder, multiplicative attention, no input feeding.
- Training: dropout, label smoothing, AdamW, gradient clipping.
- Batching, training steps and beam search (beam 4) are those of Joey NMT. It pads random batches, so for a
  short text five of six steps would be padding. So this script makes batches of similar lengths for it.
- Its learning-rate schedules count epochs or steps. So this script uses the schedule of plain_translate.py,
  which depends on the time.

Joey NMT is not part of the project. It may be installed in a separate folder that is in PYTHONPATH.

    python benchmarks/joey_translate.py TRAIN.x TRAIN.y DEV.x DEV.y TEST.x TEST.y --minutes 20 --lr 0.002
    --out F.json
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

import logging
import random
import tempfile
import time
from pathlib import Path
from string import Template

from joeynmt.batch import Batch
from joeynmt.config import load_config, parse_global_args
from joeynmt.prediction import predict, prepare
from joeynmt.training import TrainManager

from plain_translate import ROWS, asked, clock, rate, tell
from unrolled.tasks.inputs.tokens import Reading, learn_reading

Pieces = tuple[list[str], list[str]]  # the subwords of source and target of a pair
PARTS = ("train", "dev", "test")
CONFIGURATION = Template("""
name: joey
model_dir: "$folder"
use_cuda: false
random_seed: 0
data:
  train: "$folder/train"
  dev: "$folder/dev"
  test: "$folder/test"
  src: {lang: x, level: word, voc_file: "$folder/pieces"}
  trg: {lang: y, level: word, voc_file: "$folder/pieces"}
model:
  tied_embeddings: true
  tied_softmax: true
  embed_initializer: normal
  embed_init_weight: 0.09
  encoder: &end
    type: recurrent
    rnn_type: lstm
    hidden_size: $hidden
    embeddings: {embedding_dim: $hidden, dropout: $dropout}
  decoder:
    <<: *end
    attention: luong
    input_feeding: false
    hidden_dropout: $dropout
training:
  optimizer: adamw
  adam_betas: [0.9, 0.99]
  weight_decay: 0.1
  label_smoothing: 0.1
  normalization: tokens
  clip_grad_norm: 1.0
  batch_size: $rows
  shuffle: false  # see `alike`
  scheduling: exponential  # one has to be named; see `Timed`
  epochs: 1000000
  validation_freq: 1000000000
  logging_freq: 1000000000
testing: {beam_size: 4, beam_alpha: 1.0, batch_size: $rows, max_output_length: 200}
""")


class Timed(TrainManager):
    """The training of Joey NMT, until the minutes are over."""

    def begin(self, minutes: float, lr: float) -> None:
        """Start the clock."""
        self.minutes, self.lr, self.begun = minutes, lr, clock()
        self.scheduler_step_at = "none"

    def _train_step(self, batch: Batch) -> tuple[float, int]:
        share = min(1.0, (clock() - self.begun) / (60 * self.minutes))
        self.optimizer.param_groups[0]["lr"] = self.lr * rate(share)
        self.stats.is_max_update = share == 1  # Joey NMT ends after this step
        return super()._train_step(batch)


def cut(folder: Path, texts: list[list[str]]) -> Reading:
    """Write the shared vocabulary, and the texts as subwords with spaces between them. Return the reading."""
    reading, _ = learn_reading([*texts[0], *texts[1]], "subword", False, 10_000)
    (folder / "pieces").write_text("\n".join(reading.vocabulary.tokens) + "\n", encoding="utf-8")
    for part, x, y in zip(PARTS, texts[::2], texts[1::2], strict=True):
        pairs = [(reading.split(a), reading.split(b)) for a, b in zip(x, y, strict=True)]
        for end, name in enumerate("xy"):
            lines = (" ".join(pair[end]) + "\n" for pair in (alike(pairs) if part == "train" else pairs))
            (folder / f"{part}.{name}").write_text("".join(lines), encoding="utf-8")
    return reading


def alike(pairs: list[Pieces]) -> list[Pieces]:
    """Order the pairs as batches of similar lengths, in random order.

    The batch that is not full is the last.
    """
    ordered = sorted(pairs, key=lambda pair: (len(pair[0]), len(pair[1])))
    *full, rest = [ordered[max(0, i - ROWS) : i] for i in range(len(ordered), 0, -ROWS)]
    random.Random(0).shuffle(full)
    return [pair for batch in (*full, rest) for pair in batch]


def main() -> None:
    o = asked(__doc__)
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory(prefix="unrolled-joey-") as name:
        folder = Path(name)
        reading = cut(folder, [path.read_text(encoding="utf-8").splitlines() for path in o.files])
        wanted = CONFIGURATION.substitute(folder=folder, hidden=o.hidden, dropout=o.dropout, rows=ROWS)
        (folder / "joey.yaml").write_text(wanted, encoding="utf-8")
        args = parse_global_args(load_config(folder / "joey.yaml"))
        model, train, dev, test = prepare(args, rank=0, mode="train")
        told = {"device": args.device, "n_gpu": args.n_gpu, "autocast": args.autocast}
        manager = Timed(0, model, args.model_dir, train_args=args.train, dev_args=args.test, **told)
        manager.begin(o.minutes, o.lr)
        manager.train_and_validate(train, dev)
        speed = manager.stats.total_tokens / (clock() - manager.begun)
        model.loss_function = ("crossentropy", 0.0)  # no label smoothing in validation
        truth = args.test._replace(return_prob="ref")
        found = predict(model, dev, compute_loss=True, normalization="tokens", args=truth, **told)[0]
        begun = time.monotonic()
        pieces, known = predict(model, test, args=args.test, **told)[3], reading.vocabulary.index
        said = [reading.join(piece for piece in one if piece in known) for one in pieces]
        tell(o.out, model, begun, said, dev_loss=found["loss"], tokens_s=speed)


if __name__ == "__main__":
    main()
