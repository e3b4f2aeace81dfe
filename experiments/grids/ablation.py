"""Ablation: switches off each stage and option of a program in turn, and measures the loss in F1 and the saved cost.

The runs are cells of a grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import settings, tracking
from experiments.errors import TrackingError
from experiments.grids.cells import Cell, Grid, changed
from experiments.grids.grid import GridResult
from experiments.scoring.evaluation import counts_of
from experiments.scoring.significance import Difference, Verdict, holm, interval, paired, verdict
from experiments.spec import RunSpec, checked
from ner_programs.scoring import Counts

WHOLE = "as it is"
Changes = Mapping[str, Any]


def ablations(spec: RunSpec) -> Iterator[tuple[str, Changes]]:
    """Yield the ablations of a spec, by name with their settings. Only what the spec uses is ablated."""
    yield from _knowledge(spec)
    yield from _demonstrations(spec)
    program, unit = spec.program, "document" if spec.task.unit == "sentence" else "sentence"
    others: list[tuple[bool, str, Changes]] = [
        (program.verify is not None, "no verification", {"program.verify": False}),
        (spec.task.guidelines is not None, "no guidelines", {"task.guidelines": False}),
        (program.link, "no linking", {"program.link": False}),
        (spec.optimizer["name"] != "none", f"no {spec.optimizer['name']}", {"optimizer": {"name": "none"}}),
        (program.format["name"] != "json_list", "the plain list format", {"program.format": {"name": "json_list"}}),
        (program.occurrences != "all", "all occurrences of a mention", {"program.occurrences": "all"}),
        (spec.task.unit is not None, f"one {unit} a prompt", {"task.unit": unit}),
    ]
    yield from ((name, changes) for used, name, changes in others if used)


def _knowledge(spec: RunSpec) -> Iterator[tuple[str, Changes]]:
    name = spec.retriever["name"]
    if spec.kb is None or name == "none":
        return
    yield "no knowledge", {"program.retriever": {"name": "none"}}
    if name != "flat":
        yield "flat dictionary instead of the graph", {"program.retriever": {"name": "flat"}}
    if spec.program.seeds != "text":
        yield "names looked up by the dictionary alone", {"program.seeds": "text"}
    if spec.kb.merge:
        yield "sources not merged", {"kb.merge": False}


def _demonstrations(spec: RunSpec) -> Iterator[tuple[str, Changes]]:
    demos = spec.program.demos
    if demos is None or demos.get("k") == 0:
        return
    # without a selector, an optimizer would add demonstrations of its own
    optimizer = spec.optimizer["name"]
    if optimizer == "none":
        yield "no demonstrations", {"program.demos": False}
    else:
        yield f"no demonstrations, no {optimizer}", {"program.demos": False, "optimizer": {"name": "none"}}
    if demos["name"] != "random":
        size = {k: v for k, v in demos.items() if k == "k"}
        yield "random demonstrations", {"program.demos": {"name": "random", **size}}


def ablation_grid(spec: RunSpec, path: Path) -> Grid:
    """Return the grid of a spec's ablations. The whole program is the first cell."""
    tables = spec.model_dump(exclude_none=True) | {"name": f"{spec.name}.ablation"}
    rows = [(WHOLE, {}), *ablations(spec)]
    cells = tuple(Cell(name, changes, _changed(tables, changes, path)) for name, changes in rows)
    return Grid(f"{spec.name}.ablation", f"ablation {spec.fingerprint()}", cells)


def _changed(tables: settings.Tables, changes: Changes, path: Path) -> RunSpec:
    made = changed(tables, changes, path, merge=True)
    search = made["optimizer"].get("search")
    if isinstance(search, dict):  # an optimizer cannot search settings that are switched off
        gone = tuple(f"{k.removeprefix('program.')}." for k, v in changes.items() if v is False or _none(v))
        kept = {k: v for k, v in search.items() if not k.removeprefix("program.").startswith(gone)} if gone else search
        made["optimizer"]["search"] = kept
    return checked(made, path)


def _none(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("name") in ("none", "flat")


@dataclass(frozen=True, slots=True)
class Ablated:
    """The program without one component: its F1, the loss (F1 of the whole program minus this F1), and the cost.

    `verdict` is about the whole program: "better" if the component helps.
    """

    name: str
    run_id: str
    f1: float
    ci95: tuple[float, float]
    loss: Difference | None
    p_holm: float | None
    verdict: Verdict | None
    cost: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return every figure, as `--json` prints it."""
        loss = self.loss
        return {
            "name": self.name, "run_id": self.run_id, "micro_f1": round(self.f1, 4), "ci95": [round(x, 4) for x in self.ci95],
            "loss": None if loss is None else round(loss.delta, 4),
            "loss_ci95": None if loss is None else [round(loss.lo, 4), round(loss.hi, 4)],
            "p_holm": None if self.p_holm is None else round(self.p_holm, 4), "verdict": self.verdict,
            **{k: round(v, 2) for k, v in self.cost.items()},
        }  # fmt: skip


def losses(home: Path, result: GridResult, part: str) -> list[Ablated]:
    """Return a row for each finished cell, the whole program first. Raises TrackingError if the whole program failed."""
    client = tracking.existing_store(home)
    done = [d for d in result.cells if not d.reason]
    if not done or done[0].cell.name != WHOLE:
        raise TrackingError(f"the whole program failed, so nothing can be compared: {result.cells[0].reason}")
    figures = {d.run_id: tracking.read_file(client, d.run_id, f"{part}.json") for d in done}
    counts = {run_id: counts_of(f) for run_id, f in figures.items()}
    whole = counts[done[0].run_id]
    if not whole:
        raise TrackingError(f"the corpus has no {part} documents")
    gaps = [paired(counts[d.run_id], whole) for d in done[1:]]
    corrected = holm([gap.p for gap in gaps])
    rows = []
    for d, gap, p in zip(done, [None, *gaps], [None, *corrected], strict=True):
        total = sum(counts[d.run_id], Counts())
        cost = {name: d.metrics.get(name, 0.0) for name in ("lm_calls", "prompt_tokens", "answer_tokens", "seconds")}
        found = None if gap is None or p is None else verdict(gap, p, len(whole))
        rows.append(Ablated(d.cell.name, d.run_id, total.f1, interval(counts[d.run_id]), gap, p, found, cost))
    return rows
