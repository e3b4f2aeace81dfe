"""What guideline lines do to the offline engine's answers: true and false ones, and paraphrases beside their canonical line.

    python benchmarks/guidelines.py --data ../shared/data [--corpus ncbi wardnotes] [--k 0 16] [--documents 300] [--json]

Scored is the dev part (its first documents). The lines are made from train alone: conventions that its mentions follow, words
that it keeps at the start or the end of a mention or leaves out of it, strings that it always or never marks and that the
program got wrong there; a false line says the opposite.
`delta` is F1 with the line less F1 without it, by paired bootstrap. With `benchmarks/paraphrases.toml` (entries
`[[paraphrase]]` with `line` and `means`, the canonical line, and `corpus` where only one has its label) also: the share
understood, which is to be parsed as `means` is, and the paired effect of each against its canonical line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from experiments import setup
from experiments.scoring.significance import paired, pooled
from experiments.spec import load
from ner_programs import Document, Entity, NERProgram, align, prompt
from ner_programs.guidelines import Guidelines, Rule, parse, render
from ner_programs.lms._crf import Span
from ner_programs.lms._guidance import obey
from ner_programs.lms._incontext import answer
from ner_programs.scoring import Counts
from ner_programs.units import split

PARAPHRASES = Path(__file__).with_name("paraphrases.toml")
SPECS = Path(__file__).resolve().parents[1] / "experiments" / "specs"
LISTED, TRIED = 600, 1200  # strings of a list, and train documents that the program's errors are looked for in, at most
Lines = dict[str, str]


def shares(documents: Sequence[Document], label: str) -> dict[str, tuple[Counter[str], Counter[str]]]:
    """Per place, how often a word stands there inside a mention of `label`, and how often just outside one."""
    start: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    end: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for document in documents:
        for e in document.entities:
            words = e.text.lower().split()
            before = re.search(r"([\w-]+) +\Z", document.text[: e.start])
            after = re.match(r" +([\w-]+)", document.text[e.end :])
            if e.label == label and len(words) > 1:
                start[0][words[0]] += 1
                end[0][words[-1]] += 1
            if e.label == label and before:
                start[1][before[1].lower()] += 1
            if e.label == label and after:
                end[1][after[1].lower()] += 1
    return {"start": start, "end": end}


def listed(documents: Sequence[Document], label: str, found: Sequence[Sequence[Entity]]) -> tuple[list[str], ...]:
    """What train marks always and the program missed there; what train marks always; what was answered and is never marked.

    `found` are the program's own answers to the documents, made without showing them.
    """
    gold = Counter(e.text for d in documents for e in d.entities if e.label == label)
    text = "\n".join(d.text for d in documents)

    def sure(surface: str) -> bool:
        there = len(re.findall(rf"(?<!\w){re.escape(surface)}(?!\w)", text, re.IGNORECASE))
        return len(surface) > 2 and '"' not in surface and gold[surface] >= 0.9 * there

    pairs = list(zip(documents, found, strict=False))
    missed = Counter(e.text for d, said in pairs for e in d.entities if e.label == label and e not in said)
    marked = {e.text.casefold() for d in documents for e in d.entities}
    wrong = Counter(e.text for d, said in pairs for e in said if e.label == label and e.text.casefold() not in marked)
    often = [s for s, _ in gold.most_common(LISTED) if sure(s)]
    return (
        [s for s, _ in missed.most_common(LISTED) if sure(s)],
        often,
        [s for s, _ in wrong.most_common(LISTED) if '"' not in s],
    )


def mended(documents: Sequence[Document], label: str, found: Sequence[Sequence[Entity]]) -> dict[str, list[str]]:
    """For each kind of boundary rule, the words that would mend answers on train, and far fewer of its right answers harm."""
    mends: dict[str, Counter[str]] = {k: Counter() for k in ("keep_start", "drop_start", "keep_end", "drop_end")}
    harms: dict[str, Counter[str]] = {k: Counter() for k in mends}
    for d, said in zip(documents, found, strict=False):
        for e in (e for e in said if e.label == label):
            text, gold = (
                d.text.lower(),
                [g for g in d.entities if g.label == label and g.start < e.end and e.start < g.end],
            )
            if e in d.entities:
                before, after, words = text[: e.start].split(), text[e.end :].split(), text[e.start : e.end].split()
                for kind, some in (("keep_start", before[-1:]), ("keep_end", after[:1])):
                    harms[kind].update(some)
                if len(words) > 1:
                    harms["drop_start"][words[0]] += 1
                    harms["drop_end"][words[-1]] += 1
            for g in gold[:1]:
                if g.end == e.end and g.start != e.start:
                    kind, piece = (
                        ("keep_start", text[g.start : e.start])
                        if g.start < e.start
                        else ("drop_start", text[e.start : g.start])
                    )
                    mends[kind].update(piece.split())
                if g.start == e.start and g.end != e.end:
                    kind, piece = (
                        ("keep_end", text[e.end : g.end]) if g.end > e.end else ("drop_end", text[g.end : e.end])
                    )
                    mends[kind].update(piece.split())
    return {
        kind: [w for w, n in words.most_common() if n >= 2 and n >= 3 * harms[kind][w] and w.replace("-", "").isalpha()]
        for kind, words in mends.items()
    }


def conventions(documents: Sequence[Document]) -> Lines:
    """Lines without words from train; true where it changes (nearly) none of its mentions, false where many."""
    determiners = ("articles", "demonstratives", "possessives")
    rules: list[Rule] = [
        Rule("short_apart"),
        Rule("short_inside"),
        Rule("join", ("and", "or")),
        Rule("split", ("and", "or")),
    ]
    rules += [Rule(k, classes=determiners) for k in ("drop_start", "keep_start")]
    rules += [Rule(k, classes=("prepositions",)) for k in ("drop_after", "keep_after")]
    rules += [
        Rule(k, classes=(f"words of {c}",)) for c in ("severity", "time", "side") for k in ("drop_start", "keep_start")
    ]
    found: Lines = {}
    for rule in rules:
        total = broken = 0
        for d in documents:
            spans = [Span(e.start, e.end, e.label, 1.0) for e in sorted(d.entities)]
            after = {(s.start, s.end) for s in obey(d.text, spans, Guidelines((rule,)))}
            total, broken = total + len(spans), broken + sum((s.start, s.end) not in after for s in spans)
        if not 0.002 < broken / total < 0.01:
            found[
                f"{'true' if broken / total < 0.01 else 'false'}: {rule.kind} {' '.join(rule.classes[:1])}".strip()
            ] = render(rule)
    return found


def lines_of(documents: Sequence[Document], label: str, answers: Sequence[Sequence[Entity]]) -> Lines:
    """True and false lines about one label, from train."""
    word = re.compile(r"[a-z][a-z-]+\Z")
    found: Lines = {}
    for place, (inside, outside) in shares(documents, label).items():
        kept = [w for w, n in inside.most_common() if n >= 2 and n >= 9 * outside[w] and word.match(w)][:60]
        left = [w for w, n in outside.most_common() if n >= 2 and n >= 9 * inside[w] and word.match(w)][:60]
        for kind, truth, words in (
            ("keep", True, kept),
            ("drop", False, kept),
            ("drop", True, left),
            ("keep", False, left),
        ):
            if words:
                name = f"{str(truth).lower()}: {kind}_{place} words of train"
                found[name] = render(Rule(f"{kind}_{place}", tuple(words), label))  # type: ignore[arg-type]
    for kind, words in mended(documents, label, answers).items():
        if words:
            found[f"true: {kind} mended on train"] = render(Rule(kind, tuple(words), label))  # type: ignore[arg-type]
    missed, often, wrong = listed(documents, label, answers)
    for name, kind, words in (
        ("true: always, missed on train", "always", missed), ("true: always, all of train", "always", often),
        ("true: never, mended on train", "never", wrong), ("false: never, right on train", "never", often[:20]),
        ("false: always, wrong on train", "always", wrong),
    ):  # fmt: skip
        if words:
            found[name] = render(Rule(kind, tuple(words), label))  # type: ignore[arg-type]
    return found


def answers(program: NERProgram, documents: Sequence[Document], lines: Lines) -> dict[str, list[list[Entity]]]:
    """The entities of each document with each line; the learner is fitted once for all of them."""
    extract = program.extract
    found: dict[str, list[list[Entity]]] = {name: [] for name in lines}
    for document in documents:
        for said in found.values():
            said.append([])
        for unit in split(document.text, program.spec.unit, size=program.spec.window):
            piece = document.text[unit.start : unit.end]
            fields = {"text": piece, "knowledge": program.retrieve(piece, document.text, document.kin).lines}
            demos = extract.demos(piece, document.kin)
            system, *turns = extract.adapter.format(extract.predict.signature, demos, fields)
            for name, line in lines.items():
                sections = prompt.parse(system["content"])
                sections[0] = ("", f"{sections[0][1].rstrip()}\n\n{line}".rstrip())
                done = answer(prompt.render(sections), [turn["content"] for turn in turns])
                assert done is not None
                marked = align(piece, extract.format.read(done.text), policy=program.spec.occurrences)
                found[name][-1] += [e.shifted(unit.start) for e in marked]
    return found


def rows(corpus: str, data: Path, home: Path, k: int, size: int) -> list[dict[str, Any]]:
    folder, program, _ = setup.build(load(SPECS / f"{corpus}.toml"), data, home)
    page = program.spec.guidelines
    program = program.with_settings(demos={"k": k} if k else None, guidelines="")
    train, dev = folder.train, folder.dev[:size]
    paraphrases = tomllib.loads(PARAPHRASES.read_text("utf-8"))["paraphrase"] if PARAPHRASES.exists() else []
    paraphrases = [entry for entry in paraphrases if entry.get("corpus", corpus) == corpus]
    names = tuple(program.spec.labels)
    lines = {"": "", **({"the corpus's page": page} if page else {})}
    own = answers(program, train[:TRIED], {"": ""})[""]
    lines |= conventions(train)
    for label in names:
        for name, line in lines_of(train, label, own).items():
            lines[name] = f"{lines.get(name, '')}\n{line}".strip()
    lines["true: all mended on train"] = "\n".join(x for n, x in lines.items() if ("mended" in n or "missed" in n))
    pairs: dict[str, str] = {}
    for n, entry in enumerate(paraphrases, 1):
        line, means = (entry[key] for key in ("line", "means"))
        lines |= {f"paraphrase {n}": line, f"means {means}": means}
        pairs[f"paraphrase {n}"] = f"means {means}"
    groups = [d.group if folder.resampling == "document" else d.id for d in dev]
    counts = {
        name: pooled([Counts.of(d.entities, e) for d, e in zip(dev, said, strict=True)], groups)
        for name, said in answers(program, dev, lines).items()
    }
    found = []
    for name, line in lines.items():
        base = pairs.get(name, "")
        d = paired(counts[base], counts[name])
        total = sum(counts[name], Counts())
        found.append({
            "corpus": corpus, "k": k, "documents": len(dev), "name": name or "without", "line": line,
            "against": base or "without",
            "f1": round(total.f1, 4), "delta": round(d.delta, 4), "lo": round(d.lo, 4), "hi": round(d.hi, 4),
            "excludes_0": d.significant, "understood": parse(line, names).rules == parse(lines[base], names).rules != ()
            if name in pairs else bool(parse(line, names).rules),
        })  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data directory")
    parser.add_argument("--corpus", nargs="+", default=["wardnotes", "ncbi"], help="specs")
    parser.add_argument("--k", nargs="+", type=int, default=[16], help="numbers of demonstrations")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    home = Path(os.environ.get("NERC_HOME") or tempfile.mkdtemp(prefix="nerc-guidelines-"))
    found = [r for c in options.corpus for k in options.k for r in rows(c, options.data, home, k, options.documents)]
    told = {r["line"]: r["understood"] for r in found if r["name"].startswith("paraphrase")}
    share = sum(told.values()) / len(told) if told else None
    if options.json:
        print(json.dumps({"benchmark": "guidelines", "rows": found, "share_understood": share}))
        return
    for r in found:
        mark = "*" if r["excludes_0"] else " "
        said = f"{r['delta']:+.4f} [{r['lo']:+.4f}, {r['hi']:+.4f}]{mark}" if r["name"] != "without" else ""
        print(f"{r['corpus']:10} k={r['k']:<3} {r['name']:32} {r['f1']:.4f} {said}")
    if share is not None:
        print(f"paraphrases understood: {share:.0%} of {len(told)}")


if __name__ == "__main__":
    main()
