"""The layouts of the paper's tables: their rows and columns, the reference of comparisons, and the sentences below them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from experiments.paper.read import BEST_CRF, Params, Table, without_kind
from experiments.scoring.significance import Difference

Say = Callable[[Table], list[str]]
STAR = "\\*"


@dataclass(frozen=True, slots=True)
class Layout:
    """One table: functions from a cell's settings to its `row`, its `column`, and a suffix for its corpus (`section`).

    `reference` and `baselines` are as in `read.table`.
    """

    name: str
    title: str
    row: Callable[[Params], str]
    reference: str
    shows: Say
    cannot: str
    column: Callable[[Params], str] = lambda p: ""
    section: Callable[[Params], str] = lambda p: ""
    baselines: str = "rows"
    crf: str = ""
    """What the table cannot show if the in-context CRF answers."""
    x: str = "demonstrations"
    """The horizontal axis of the plot: the columns, or with "pool" the rows."""


def demos(p: Params) -> str:
    """Name the selector; for a neural one, its encoder."""
    name = p.get("program.demos.name", "none")
    encoder = p.get("program.demos.model", "").rsplit("/", 1)[-1]
    return {"none": "no demonstrations", "embedding": f"embedding {encoder}"}.get(name, name)


def k(p: Params) -> str:
    """Name the number of demonstrations."""
    return f"k={p.get('program.demos.k', '0') if 'program.demos.name' in p else 0}"


def pool(p: Params) -> str:
    """Name the size of the pool."""
    return p.get("corpus.sample.train", "all")


def knowledge(p: Params) -> str:
    """Name the way of retrieving knowledge, in the terms of the paper and of the released code of DiRAG."""
    name = p.get("program.retriever.name", "walk" if "kb.sources.0.name" in p else "none")
    fields = p.get("program.retriever.fields", "type")
    known = {
        "none": "none",
        "flat": "dictionary, type" if fields == "type" else "dictionary, type + definition",
        "walk": "graph",
    }
    return known.get(name, name) + (", names proposed by a first call" if p.get("program.seeds") == "lm" else "")


def headline(p: Params) -> str:
    """Name a headline row."""
    chosen = {"no demonstrations": "zero-shot", "random": "random", "tfidf": "nearest"}.get(demos(p), demos(p))
    return chosen + ("" if knowledge(p) == "none" else " + knowledge")


def engine(p: Params) -> str:
    """Name a headline row with its k."""
    chosen, _, more = headline(p).partition(" + ")
    return " ".join(filter(None, (chosen, k(p) if "program.demos.name" in p else "", more and f"+ {more}")))


def optimizer(p: Params) -> str:
    """Name the optimizer, with the differences of its run from the others of the table."""
    inside = ", mipro's space" if "optimizer.space" in p else ""
    third = ", 666 calls" if p.get("optimizer.budget.calls") == "666" else ""
    return f"{p['optimizer.name']}{inside}{third}"


def texts(p: Params) -> str:
    """Name the scored part of a corpus, if it is not all of its sentences."""
    sample = p.get("corpus.sample.dev")
    return (", abstracts" if p.get("corpus.form") == "documents" else "") + (f", {sample} of dev" if sample else "")


def with_interval(gap: Difference | None) -> str:
    """Write a difference with its interval."""
    return "not run" if gap is None else f"{_signed(gap.delta)} ({_signed(gap.lo)} to {_signed(gap.hi)})"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # no -0.000


def _gaps(row: str, than: str, column: str = "") -> Say:
    at = f" at {column}" if column else ""

    def shows(table: Table) -> list[str]:
        there = [c for c in table.corpora if table.get(c, row, column) and table.get(c, than, column)]
        each = [f"{c} {with_interval(table.gap(c, row, than, column))}" for c in there]
        return [f"{row} − {than}{at}: {'; '.join(each)}."] if each else []

    return shows


def _best(table: Table) -> list[str]:
    rows = []
    for corpus in table.corpora:
        there = [
            e
            for e in table.entries
            if e.corpus == corpus and not e.row.startswith("baseline") and e.column[:8] != "baseline"
        ]
        best = max(there, key=lambda e: e.f1)
        rows.append(f"{corpus} {best.row}{f' at {best.column}' if best.column else ''} ({best.f1:.3f})")
    return [f"Highest in each, on these same texts: {'; '.join(rows)}."]


def _counted(table: Table) -> list[str]:
    compared = [e for e in table.entries if e.p_holm is not None]
    differ = [e.difference for e in compared if e.significant and e.difference is not None]
    higher = sum(d.delta > 0 for d in differ)
    return [
        f"Of {len(compared)} differences to the reference, {len(differ)} are significant at 5 % after Holm's correction: "
        f"{higher} up, {len(differ) - higher} down."
    ] if compared else []  # fmt: skip


def _last_column(row: str, than: str) -> Say:
    """Report the difference in the last column that both rows have."""

    def shows(table: Table) -> list[str]:
        there = {e.column for e in table.entries if e.row == row} & {e.column for e in table.entries if e.row == than}
        columns = [c for c in table.columns if c in there and not c.startswith("baseline")]
        return _gaps(row, than, columns[-1])(table) if columns else []

    return shows


def _at(row: str, than: str, wanted: str) -> Say:
    """Report the difference in the column `wanted`; if that was not run, in the last one."""
    return lambda table: _gaps(row, than, wanted)(table) if wanted in table.columns else _last_column(row, than)(table)


def _over_crf(row: str, column: str = "") -> Say:
    """Report the difference of a row to the best CRF baseline of each corpus, and whether it is significant."""

    def shows(table: Table) -> list[str]:
        there = [e for c in table.corpora if (e := table.get(c, row, column)) is not None and e.difference is not None]
        each = [
            f"{e.corpus} {with_interval(e.difference)}{STAR * e.significant} ({without_kind(e.reference)})"
            for e in there
        ]
        above = sum(e.significant and e.difference is not None and e.difference.delta > 0 for e in there)
        line = f"{row}{f' at {column}' if column else ''} − {BEST_CRF}: {'; '.join(each)}. Significantly above it"
        return [f"{line} on {above} of {len(there)}."] if there else []

    return shows


def _all(*says: Say) -> Say:
    return lambda table: [line for say in says for line in say(table)]


def _over_baseline(table: Table) -> list[str]:
    """Report the best row against the best baseline. Neither is chosen beforehand, so this is not a significance test."""
    each = []
    for corpus in table.corpora:
        rows = [e for e in table.entries if e.corpus == corpus and e.column == ""]
        baselines = [e for e in rows if e.row.startswith("baseline")]
        ours = [e for e in rows if not e.row.startswith("baseline")]
        if baselines and ours:
            best, baseline = max(ours, key=lambda e: e.f1), max(baselines, key=lambda e: e.f1)
            each.append(
                f"{corpus} {with_interval(table.gap(corpus, best.row, baseline.row))} ({best.row} − {baseline.row})"
            )
    return (
        [f"Highest row against highest baseline, found on these same texts and so no test: {'; '.join(each)}."]
        if each
        else []
    )


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "headline", "Headline: whole test sets", headline, "random",
            _all(_gaps("nearest", "random"), _gaps("nearest + knowledge", "nearest"), _over_baseline, _counted),
            "One way to lay out the prompt and one k. A prompt holds k labelled texts, but nearest ones are chosen from all of "
            "train, whose labels the baselines are made of, too.",
        ),
        Layout(
            "formats", "Output format", lambda p: p["program.format.name"], "json_list", _all(_best, _counted),
            "One set of demonstrations and one k.",
            crf="A tagger that writes every format without a slip cannot show which one a model writes best: what differs "
            "here is alignment alone (which occurrence a listed mention means).",
        ),
        Layout(
            "selectors", "Demonstrations: selector and number", demos, "random",
            _all(_at("tfidf", "random", "k=16"), _at("bm25", "tfidf", "k=16"), _at("entity", "tfidf", "k=16"), _best, _counted),
            "Random is a mean over seeds, nothing is drawn for the others; the nearest texts often hold the mention itself, so "
            "the gain is partly copying, and prompts of nearest demonstrations cannot be cached by a provider. `entity` also "
            "looks up the names of the knowledge base (NCBI-disease and BC5CDR have one here), and was not run with every k.",
            column=k, baselines="rows",
        ),
        Layout(
            "encoders", "Demonstrations: encoders", demos, "tfidf", _all(_best, _counted),
            "Random is one draw, and its interval does not say so. Encoders were trained on other text, some perhaps on these "
            "corpora.",
            column=k, baselines="",
        ),
        Layout(
            "pools", "Labelled sentences: size of the pool", pool, "all",
            _all(_at("50", "all", "k=16"), _at("1000", "all", "k=16"), _counted),
            "Draws of 1,000 overlap; all of train is one pool, so its interval is about test documents alone.",
            column=k, baselines="columns", x="pool",
        ),
        Layout(
            "dirag", "Knowledge without demonstrations (DiRAG)", knowledge, "none",
            _all(_gaps("dictionary, type", "none"), _gaps("dictionary, type + definition", "none"), _gaps("graph", "none"),
                 _gaps("graph", "dictionary, type"), _counted),
            "One layout of the knowledge in the prompt.",
            crf="Without demonstrations the rows say what the knowledge names, nothing more; what is said about a name (its "
            "definition, its neighbours) can help a model and not this one, which cannot propose names either.",
        ),
        Layout(
            "engine", "The in-context CRF on dev", engine, BEST_CRF,
            _all(_over_crf("nearest k=64 + knowledge"), _over_crf("nearest k=32 + knowledge"),
                 _gaps("nearest k=16", "random k=16"),
                 _gaps("nearest k=16 + knowledge", "random k=16 + knowledge"),
                 _gaps("nearest k=16 + knowledge", "nearest k=16"),
                 _gaps("nearest k=64 + knowledge", "nearest k=64"), _counted),
            "Dev was looked at while the engine was made. The CRF fitted once has all of train, a prompt k texts of it; which "
            "of the two baselines is the higher was found on these same texts, which favours it. Those of abstracts are "
            "fitted on abstracts.",
            section=texts,
        ),
        Layout(
            "engine_pools", "The in-context CRF with knowledge and few labelled sentences, on dev", pool, BEST_CRF,
            _all(_over_crf("50", "k=64"), _over_crf("200", "k=64"), _counted),
            "Draws of 200 overlap. Dev was looked at while the engine was made. Of a pool of 50 a prompt shows all.",
            column=k, section=texts, baselines="columns", x="pool",
        ),
        Layout(
            "units", "What one prompt covers", lambda p: f"{p['task.unit']}, {k(p)}", "sentence, k=16", _all(_best, _counted),
            "A demonstration of a document is about nine sentences long: rows are to be compared at equal prompt tokens. "
            "The baselines are made of sentences.",
        ),
        Layout(
            "cost", "Cost: demonstrations against fine-tuning", lambda p: k(p), "k=0", _all(_best, _counted),
            "Tokens are those of these prompts; what a fine-tuned model would score is not measured here. The CRF fitted once "
            "on all of train stands for it, with the same features.",
        ),
        Layout(
            "optimizers", "Optimizers: the same program, the same calls", optimizer, "none", lambda table: [],
            "One start, one budget, one proposer. A curve's points before its end are F1 on samples of dev, which differ from "
            "optimizer to optimizer. Runs on one corpus share the answers that are kept, so the seconds of a later one are "
            "less than it would take alone; those of an interrupted run count from where it was taken up. Calls are complete.",
            crf="It reads no instruction and writes none: optimizers of wording are left out, and the others change "
            "demonstrations, settings and rules.",
        ),
    )
}  # fmt: skip
