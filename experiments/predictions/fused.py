"""The gain of fusing predictions: scores before and after, paired differences, calibration, and changed entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.corpora.corpus import Corpus
from experiments.scoring.evaluation import Evaluation, evaluate
from experiments.scoring.significance import holm, paired, verdict
from ner_programs.fusion.model import Fused
from ner_programs.types import AnnotatedText, Entity
from ner_programs.verifiers.fuse import verdicts

BINS = 10
SURE = 0.9
_KINDS = {"keep": "kept", "reject": "dropped", "span": "moved", "label": "relabelled", "add": "added"}
Answers = Sequence[Sequence[Entity]]
Scored = Sequence[tuple[float, bool]]
"""The confidence score of each answer, and whether the answer is right."""


def gains(
    corpus: Corpus, part: str, before: Mapping[str, Answers], crf: Answers | None, fused: Answers
) -> dict[str, Any]:
    """Return all figures as plain data; `before` are the experts' answers to the documents of `part`, by name.

    Differences are fused minus each other system, paired, with Holm-corrected p-values in `verdict`. Changes are counted
    against the best expert. With three or more experts, their majority vote is another system.
    """
    documents = corpus.part(part)
    others = dict(before)
    if len(before) > 2:
        others["majority"] = majority([*before.values()])
    if crf is not None:
        others["crf"] = crf
    scores = {name: evaluate(corpus, part, answers=_tuples(found)) for name, found in others.items()}
    after = evaluate(corpus, part, answers=_tuples(fused))
    gaps = {name: paired(e.rows, after.rows) for name, e in scores.items()} if after.rows and crf is not None else {}
    corrected = dict(zip(gaps, holm([gap.p for gap in gaps.values()]), strict=True))
    best = max(before, key=lambda name: scores[name].total.f1)
    right = [set(d.entities) for d in documents]
    sure = [(e.score, e in gold) for gold, es in zip(right, fused, strict=True) for e in es if e.score is not None]
    surest = [right for score, right in sure if score >= SURE]
    precision = round(sum(surest) / len(surest), 4) if surest else None
    return {
        "scores": {name: _figures(e) for name, e in (*scores.items(), ("fused", after))},
        "differences": {
            name: {
                "delta": round(gap.delta, 4), "ci95": [round(gap.lo, 4), round(gap.hi, 4)], "p": round(gap.p, 4),
                "verdict": verdict(gap, corrected[name], len(after.rows)),
            }
            for name, gap in gaps.items()
        },
        "calibration_error": round(calibration_error(sure), 4) if sure and crf is not None else None,
        "sure": {"at_least": SURE, "entities": len(surest), "precision": precision},
        "changes": {"of": best, **changes(documents, before[best], fused)},
        "unit": after.unit,
        "documents": after.documents,
    }  # fmt: skip


def majority(experts: Sequence[Answers]) -> list[tuple[Entity, ...]]:
    """Return for each document the entities that more than half of the experts predict."""
    made = []
    for some in zip(*experts, strict=True):
        found = {e: sum(e in one for one in map(set, some)) for one in some for e in one}
        made.append(tuple(sorted(e for e, votes in found.items() if 2 * votes > len(some))))
    return made


def calibration_error(scored: Scored, bins: int = BINS) -> float:
    """Return the expected calibration error: |mean score - accuracy| over equal bins of (0, 1], weighted by their size."""
    gaps = [0.0] * bins
    for score, right in scored:
        gaps[min(int(score * bins), bins - 1)] += score - right
    return sum(map(abs, gaps)) / max(len(scored), 1)


def changes(documents: Sequence[AnnotatedText], before: Answers, after: Answers) -> dict[str, dict[str, int]]:
    """Count the changes of entities by kind, and how many are right. Dropping an entity is right if it is not gold."""
    made = {kind: {"number": 0, "right": 0} for kind in _KINDS.values()}
    for document, old, new in zip(documents, before, after, strict=True):
        gold = {(e.start, e.end, e.label) for e in document.entities}
        stands = [Fused(e.start, e.end, e.label, e.score or 0.0, ()) for e in new]
        for v in verdicts(document.text, old, stands):
            was = old[v.number - 1] if v.number else None
            start = getattr(v, "start", None)
            if was is not None and v.kind == "reject":
                right = (was.start, was.end, was.label) not in gold
            else:
                assert start is not None
                label = v.label or (was.label if was is not None else "")
                right = (start, start + len(v.text), label) in gold
            made[_KINDS[v.kind]]["number"] += 1
            made[_KINDS[v.kind]]["right"] += right
    return made


def _figures(e: Evaluation) -> dict[str, Any]:
    return {key: value for key, value in e.as_dict().items() if key in ("micro_f1", "precision", "recall", "ci95")}


def _tuples(answers: Answers) -> tuple[tuple[Entity, ...], ...]:
    return tuple(tuple(entities) for entities in answers)
