"""Regenerate docs/results/: what demonstrations and knowledge bring, on the sample and on NCBI-disease.

    python -m benchmarks.results --data DIR [--json] [--only wardnotes]

Every row is a run in MLflow; a second time answers come from the store. Rows are read on dev; test is printed at the end.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from experiments import places

ROOT = Path(__file__).parent.parent
NOTHING = 'optimizer={name="none"}'
VARIANTS = {
    "nearest, knowledge": [NOTHING],
    "nearest, no knowledge": [NOTHING, 'program.retriever={name="none"}'],
    "nearest, flat knowledge": [NOTHING, 'program.retriever={name="flat"}'],
    **{
        f"random (seed {seed}), knowledge": [NOTHING, "program.demos.name=random", f"program.demos.seed={seed}"]
        for seed in (1, 2, 3)
    },
    "zero-shot, knowledge": [NOTHING, "program.demos.k=0"],
    "compiled (random_search)": [],
}
K = {"wardnotes": 64, "ncbi": 32}
READING = """\
Rows are the in-context CRF, not a language model: what it shows about demonstrations or knowledge need not hold for
one. A learner without pretraining lives on words it has seen, so nearest and random demonstrations differ far more than
with an LLM; and it reads of a knowledge line only what is named and which label it says, so flat and graph knowledge are
the same to it.

Differences are to the first row, paired over the same rows of the corpus; `*`: better or worse, as `nerc compare` says.
They are not corrected for the number of rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--only", choices=sorted(K), default=None)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    places.prepare_environment()
    said = {name: results(name, places.data_directory(asked.data)) for name in K if asked.only in (None, name)}
    if asked.json:
        print(json.dumps(said))


def results(corpus: str, data: Path) -> dict[str, object]:
    from experiments.commands.console import err
    from experiments.comparison import compare
    from experiments.reference_run import run
    from experiments.runs.progress import Progress
    from experiments.spec import load

    runs = []
    for name, changes in VARIANTS.items():
        err.print(f"[bold]{corpus}: {name}[/bold]")
        at_k = [] if name.startswith(("zero", "compiled")) else [f"program.demos.k={K[corpus]}"]
        spec = load(ROOT / "experiments" / "specs" / f"{corpus}.toml", [*changes, *at_k])
        runs.append(run(spec, data, places.home(), name=name, progress=Progress(err)).run_id)
    tables = {part: compare(places.home(), runs, part=part).as_dict() for part in ("dev", "test")}
    page = [
        f"# {corpus}",
        "",
        "    " + f"make results   # experiments/specs/{corpus}.toml, k = {K[corpus]}",
        "",
        READING,
        "",
    ]
    for part, table in tables.items():
        page += [
            f"## {part}" + (" (printed once, nothing was chosen on it)" if part == "test" else ""),
            "",
            *_rows(table),
            "",
        ]
    (ROOT / "docs" / "results" / f"{corpus}.md").write_text("\n".join(page), encoding="utf-8")
    return tables


def _rows(table: dict[str, object]) -> list[str]:
    rows = [
        f"| {table['corpus']}, by {table['unit']} | F1 (95 %) | P / R | difference | labelled sentences | LM calls |"
    ]
    rows.append("|---|---|---|---|---|---|")
    for row in [*table["runs"], *table["baselines"]]:  # type: ignore[misc]
        d, (lo, hi) = row["difference"], row["ci95"]
        star = "*" if d and d["verdict"] in ("better", "worse") else ""
        against = f"{d['delta']:+.3f} ({d['ci95'][0]:+.3f} to {d['ci95'][1]:+.3f}){star}" if d else ""
        rows.append(
            f"| {row['name']} | **{row['micro_f1']:.3f}** ({lo:.3f}–{hi:.3f}) | {row['precision']:.3f} / {row['recall']:.3f} "
            f"| {against} | {row['labelled']} | {row['lm_calls']} |"
        )
    return rows


if __name__ == "__main__":
    main()
