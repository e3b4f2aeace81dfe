"""Compares runs and baselines: each with its interval, and the paired difference to the first run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments import tracking
from experiments.errors import TrackingError
from experiments.scoring.evaluation import counts_of
from experiments.scoring.significance import Difference, Verdict, holm, interval, paired, randomization, verdict
from ner_programs.scoring import Counts


@dataclass(frozen=True, slots=True)
class Row:
    """One run or one baseline on one part of the corpus; `against_first` is its F1 minus that of the first row.

    `lm_calls` and `labelled` are None if unknown, as for predictions of another system. `p_randomization` is the p-value of the
    difference by approximate randomization; `p_holm` is the same after Holm's correction over all rows of the comparison.
    """

    name: str
    run_id: str
    counts: tuple[Counts, ...]
    lm_calls: int | None
    labelled: int | None
    against_first: Difference | None
    p_randomization: float | None = None
    p_holm: float | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the difference to the first row; None for the first row itself."""
        if self.against_first is None or self.p_holm is None:
            return None
        return verdict(self.against_first, self.p_holm, len(self.counts))

    def as_dict(self) -> dict[str, Any]:
        """Return every figure of the row."""
        total = sum(self.counts, Counts())
        lo, hi = interval(self.counts)
        d = self.against_first
        return {
            "name": self.name, "run_id": self.run_id, "micro_f1": round(total.f1, 4), "ci95": [round(lo, 4), round(hi, 4)],
            "precision": round(total.precision, 4), "recall": round(total.recall, 4),
            "relaxed_f1": round(total.relaxed_f1, 4), "lm_calls": self.lm_calls, "labelled": self.labelled,
            "difference": None if d is None else {
                "delta": round(d.delta, 4), "ci95": [round(d.lo, 4), round(d.hi, 4)], "p": round(d.p, 4),
                "p_randomization": _rounded(self.p_randomization), "p_holm": _rounded(self.p_holm),
                "verdict": self.verdict,
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rows of a comparison, and the unit that their intervals resample."""

    part: str
    corpus: str
    unit: str
    rows: tuple[Row, ...]
    baselines: tuple[Row, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return what `nerc compare --json` prints."""
        return {
            "part": self.part, "corpus": self.corpus, "unit": self.unit,
            "runs": [row.as_dict() for row in self.rows], "baselines": [row.as_dict() for row in self.baselines],
        }  # fmt: skip


def compare(home: Path, runs: Sequence[str] = (), experiment: str | None = None, part: str = "dev") -> Comparison:
    """Compare runs on the same rows of the same corpus: by id, or all of an experiment that were scored on `part`.

    The baselines are those of the last run. Raises TrackingError if there is nothing to compare, or if the runs are on
    different corpora.
    """
    client = tracking.existing_store(home)
    named = [tracking.find_run(client, r) for r in runs]
    found = tracking.find_runs(client, experiment, f"{part}_f1") if experiment else named
    if not found:
        raise TrackingError("there are no finished runs to compare")
    made_on = [r.data.tags.get("nerc.corpus_fingerprint") for r in found]
    if odd := [r.info.run_id[:8] for r, corpus in zip(found, made_on, strict=True) if corpus != made_on[0]]:
        raise TrackingError(
            "the runs were made on different corpora, splits or samples, and a paired comparison needs the same documents: "
            f"{', '.join(odd)} on others than {found[0].info.run_id[:8]}; name the runs to compare"
        )
    scores = [tracking.read_file(client, r.info.run_id, f"{part}.json") for r in found]
    counted = [counts_of(s) for s in scores]
    first = counted[0]
    if not first:
        raise TrackingError(f"the corpus of these runs has no {part} documents")
    if odd := [r.info.run_id[:8] for r, c in zip(found, counted, strict=True) if not _same_rows(first, c)]:
        raise TrackingError(
            f"{', '.join(odd)} grouped the documents of this corpus otherwise than {found[0].info.run_id[:8]}: "
            "their rows cannot be paired"
        )
    rows = tuple(
        _row(r.info.run_name, r, c, first if n else None) for n, (r, c) in enumerate(zip(found, counted, strict=True))
    )
    beside = tracking.read_file(client, found[-1].info.run_id, "baselines.json")
    if not all(_same_rows(first, counts_of(parts[part])) for parts in beside.values()):
        raise TrackingError(
            f"the baselines of run {found[-1].info.run_id[:8]} grouped the documents differently: make that run again"
        )
    baselines = tuple(
        _baseline(name, found[-1], parts, counts_of(parts[part]), first) for name, parts in beside.items()
    )
    tested = _tested([*rows, *baselines])
    shown, beneath = tested[: len(rows)], tested[len(rows) :]
    return Comparison(part, found[0].data.tags["nerc.corpus"], scores[0]["unit"], shown, beneath)


def _tested(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows with the p-values of their differences to the first. Holm's correction is over all rows."""
    p_values = [randomization(rows[0].counts, row.counts) for row in rows if row.against_first is not None]
    found = iter(zip(p_values, holm(p_values), strict=True))
    tested = []
    for row in rows:
        if row.against_first is not None:
            p, corrected = next(found)
            row = replace(row, p_randomization=p, p_holm=corrected)
        tested.append(row)
    return tuple(tested)


def _rounded(p: float | None) -> float | None:
    return None if p is None else round(p, 4)


def _same_rows(a: Sequence[Counts], b: Sequence[Counts]) -> bool:
    return [c.gold for c in a] == [c.gold for c in b]


def _row(name: str, run: Any, counts: tuple[Counts, ...], first: Sequence[Counts] | None) -> Row:
    against = paired(first, counts) if first is not None else None
    known = {name: int(value) for name, value in run.data.metrics.items() if name in ("lm_calls", "labelled")}
    calls, labelled = known.get("lm_calls"), known.get("labelled")
    return Row(name, run.info.run_id, counts, calls, labelled, against)


def _baseline(name: str, run: Any, about: dict[str, Any], counts: tuple[Counts, ...], first: Sequence[Counts]) -> Row:
    return Row(f"baseline: {name}", run.info.run_id, counts, 0, about["labelled"], paired(first, counts))
