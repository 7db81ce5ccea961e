"""BLEU and chrF by sacreBLEU, each with its signature."""

from __future__ import annotations

from collections.abc import Sequence


def score(truth: Sequence[str], said: Sequence[str], *, lower: bool = False) -> dict[str, object]:
    """bleu and chrf, 0 to 100 (Papineni et al. 2002, ACL; Popovic 2015, WMT; Post, arXiv 1804.08771v2), with their
    signatures; nothing where sacrebleu is not installed or there are no texts.

    lower: compare in lower case; the signatures then have `case:lc`.
    """
    if not truth:
        return {}
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError:
        return {}
    found: dict[str, object] = {}
    for name, metric in (("bleu", BLEU(lowercase=lower)), ("chrf", CHRF(lowercase=lower))):
        found[name] = float(metric.corpus_score(list(said), [list(truth)]).score)
        found[f"{name}_signature"] = str(metric.get_signature())
    return found
