"""BLEU and chrF with their signatures, computed by sacreBLEU."""

from __future__ import annotations

from collections.abc import Sequence


def score(truth: Sequence[str], said: Sequence[str], *, lower: bool = False) -> dict[str, object]:
    """Return bleu and chrf (0 to 100) with their signatures.

    The result is empty if sacrebleu is not installed or there are no texts.
    lower: compare in lower case; the signatures then contain `case:lc`.
    Sources: Papineni et al. 2002, ACL; Popovic 2015, WMT; Post, arXiv 1804.08771v2.
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
