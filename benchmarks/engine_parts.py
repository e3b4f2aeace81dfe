"""What each part of a prompt changes in the offline engine's answers: the ablation table of docs/offline-engine.md.

    python benchmarks/engine_parts.py --data ../shared/data [--corpus ncbi wardnotes] [--k 16] [--documents N] [--json]

Asked are the prompts that the program makes of the dev part (NCBI-disease with the knowledge of BC5CDR's diseases, and
wardnotes), with the nearest k demonstrations of train. Each is edited section by section, answered by the engine, read by
the format that it asks for, and aligned as the program does. Scored is strict micro-F1; the difference to the prompt as it
is has a paired bootstrap interval over documents. `0` says that every answer is the same, `–` that no prompt has such a
part. The true line says "always" of the strings that train (nearly) always marks. NERC_HOME keeps the knowledge base.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from benchmarks.guidelines import listed
from experiments import setup
from experiments.scoring.significance import paired, pooled
from experiments.spec import load
from ner_programs import Document, Entity, NERProgram, align, prompt
from ner_programs.components import names, resolve
from ner_programs.formats import Format
from ner_programs.guidelines import Rule, render
from ner_programs.lms._worker import Workers
from ner_programs.scoring import Counts
from ner_programs.types import Label, Mention
from ner_programs.units import split

SPECS = Path(__file__).resolve().parents[1] / "experiments" / "specs"
CORPORA = {"ncbi": "paper/_ncbi.toml", "wardnotes": "wardnotes.toml"}
AS_IT_IS = "as it is"
Sections = dict[str, str]


@dataclass(frozen=True)
class Prompt:
    """The sections of a prompt; `shown` are the demonstrations with their answers, the nearest last."""

    system: Sections
    shown: tuple[tuple[Sections, str], ...]
    asked: Sections

    @property
    def labels(self) -> tuple[Label, ...]:
        return prompt.parse_labels(self.system["labels"])

    @property
    def form(self) -> str:
        """The name of the format whose description the prompt gives."""
        return named(self.labels, self.system["answer"])

    def messages(self) -> tuple[str, list[str]]:
        """What the engine is given: the system message, and the turns."""
        turns = [turn for user, done in self.shown for turn in (prompt.render(user.items()), done)]
        return prompt.render(self.system.items()), [*turns, prompt.render(self.asked.items())]


@dataclass(frozen=True)
class Piece:
    """A unit of dev: the number of its document, its text and offset there, and its prompt."""

    document: int
    start: int
    text: str
    prompt: Prompt


Edit = Callable[[Prompt], Prompt]


def formats() -> tuple[str, ...]:
    return names("ner_programs.formats")


@lru_cache(maxsize=64)
def form_of(name: str, labels: tuple[Label, ...]) -> Format:
    form: Format = resolve("ner_programs.formats", {"name": name}, labels=labels)
    return form


@lru_cache(maxsize=64)
def named(labels: tuple[Label, ...], described: str) -> str:
    return next(name for name in formats() if form_of(name, labels).describe() == described)


@lru_cache(maxsize=100_000)
def rewritten(text: str, done: str, old: tuple[str, tuple[Label, ...]], new: tuple[str, tuple[Label, ...]]) -> str:
    """Write the answer of a demonstration in another format, given by its name and labels."""
    marked = align(text, form_of(*old).read(done))
    return form_of(*new).write(text, [Mention(e.text, e.label, e.start) for e in marked])


def answering(p: Prompt, labels: Callable[[Label], Label] | None = None, turn: bool = False, form: str = "") -> Prompt:
    """Change the labels one by one, their order or the format, in the description and in every answer alike."""
    said = p.labels[::-1] if turn else p.labels
    said = tuple(map(labels, said)) if labels else said
    old, new = (p.form, p.labels), (form or p.form, said)
    system = p.system | {"labels": prompt.render_labels(said), "answer": form_of(*new).describe()}
    shown = tuple((user, rewritten(user["text"], done, old, new)) for user, done in p.shown)
    return replace(p, system=system, shown=shown)


def knowing(p: Prompt, change: Callable[[str], str], asked: bool = True, shown: bool = True) -> Prompt:
    """Change the knowledge lines, one by one, of the text asked about and of the demonstrations; "" drops a line."""

    def changed(user: Sections) -> Sections:
        lines = filter(None, map(change, user.get("knowledge", "").split("\n")))
        known = {name: "\n".join(lines) if name == "knowledge" else content for name, content in user.items()}
        return {name: content for name, content in known.items() if content}

    return replace(
        p,
        asked=changed(p.asked) if asked else p.asked,
        shown=tuple((changed(user), done) for user, done in p.shown) if shown else p.shown,
    )


def bare(line: str) -> str:
    """Leave of a knowledge line its surface and what type or label it says."""
    match = prompt._LINE.fullmatch(line)
    return line[: match.start(5)] if match and match[5] else line


def undenied(line: str) -> str:
    return "" if any(said.denied for said in prompt.parse_knowledge(line, ())) else line


def edits(page: str, always: str) -> dict[str, Edit]:
    """Every edit by the name of its row; `page` are the guidelines of the spec, `always` the true line."""

    def told(p: Prompt, change: Callable[[str], str]) -> Prompt:
        return replace(p, system=p.system | {"": change(p.system[""]).rstrip()})

    def showing(p: Prompt, part: slice) -> Prompt:
        return replace(p, shown=p.shown[part])

    def gone(line: str) -> str:
        return ""

    parts: dict[str, Edit] = {
        "labels without definitions": partial(answering, labels=lambda label: Label(label.name)),
        "labels in reverse order": partial(answering, turn=True),
        "no knowledge of the text asked about": partial(knowing, change=gone, shown=False),
        "no knowledge in the demonstrations": partial(knowing, change=gone, asked=False),
        "no knowledge": partial(knowing, change=gone),
        "knowledge without names and facts": partial(knowing, change=bare),
        "knowledge without denials": partial(knowing, change=undenied),
        "no demonstrations": partial(showing, part=slice(0)),
        "demonstrations in reverse order": partial(showing, part=slice(None, None, -1)),
        "the nearest 4 demonstrations": partial(showing, part=slice(-4, None)),
        "the farthest 8 demonstrations": partial(showing, part=slice(8)),
        "no guidelines": partial(told, change=lambda said: said.removesuffix(page)),
        "with a true line: always mark …": partial(told, change=lambda said: f"{said}\n\n{always}"),
    }
    return parts | {f"answered as {name}": partial(answering, form=name) for name in formats()}


def pieces(program: NERProgram, documents: Sequence[Document]) -> Iterator[Piece]:
    """The prompts that the program makes of the documents."""
    extract = program.extract
    for n, d in enumerate(documents):
        for unit in split(d.text, program.spec.unit, size=program.spec.window):
            text = d.text[unit.start : unit.end]
            fields = {"text": text, "knowledge": program.retrieve(text, d.text, d.kin).lines}
            messages = extract.adapter.format(extract.predict.signature, extract.demos(text, d.kin), fields)
            system, *users = (dict(prompt.parse(m["content"])) for m in messages if m["role"] != "assistant")
            done = [m["content"] for m in messages if m["role"] == "assistant"]
            yield Piece(n, unit.start, text, Prompt(system, tuple(zip(users[:-1], done, strict=True)), users[-1]))


Found = dict[str, list[Entity] | None]


def answered(share: Sequence[Piece], parts: dict[str, Edit], policy: Any) -> list[Found]:
    """The entities of each piece by row, None where the edit changes nothing; by a process of its own.

    All edits of a piece follow each other, so that those with the same demonstrations share a fit.
    """
    workers, found = Workers(1), list[Found]()

    def ask(piece: Piece, p: Prompt) -> list[Entity]:
        said = workers.answer(*p.messages())
        assert said is not None
        marked = align(piece.text, form_of(p.form, p.labels).read(said.text), policy=policy)
        return [e.shifted(piece.start) for e in marked]

    try:
        for piece in share:
            changed = {name: edit(piece.prompt) for name, edit in parts.items()}
            found.append({AS_IT_IS: ask(piece, piece.prompt)})
            found[-1] |= {name: ask(piece, p) if p != piece.prompt else None for name, p in changed.items()}
    finally:
        workers.close()
    return found


def rows(corpus: str, options: argparse.Namespace, k: int, home: Path) -> list[dict[str, Any]]:
    folder, program, _ = setup.build(load(SPECS / CORPORA[corpus]), options.data, home)
    program, dev = program.with_settings(demos={"k": k}), folder.dev[: options.documents]
    words = {label: listed(folder.train, label, ())[1] for label in program.spec.labels}
    always = "\n".join(render(Rule("always", tuple(said), label)) for label, said in words.items() if said)
    parts, asked = edits(program.spec.guidelines, always), list(pieces(program, dev))
    work = partial(answered, parts=parts, policy=program.spec.occurrences)
    found: list[Found] = [{} for _ in asked]
    with ThreadPoolExecutor(options.processes) as pool:
        shares = [asked[n :: options.processes] for n in range(options.processes)]
        for n, share in enumerate(pool.map(work, shares)):
            found[n :: options.processes] = share
    groups = [d.group if folder.resampling == "document" else d.id for d in dev]
    entities = {name: [list[Entity]() for _ in dev] for name in (AS_IT_IS, *parts)}
    for piece, said in zip(asked, found, strict=True):
        for name, own in said.items():
            entities[name][piece.document] += (said[AS_IT_IS] or []) if own is None else own
    counts = {
        name: pooled([Counts.of(d.entities, e) for d, e in zip(dev, marked, strict=True)], groups)
        for name, marked in entities.items()
    }
    made = []
    for name in entities:
        d = paired(counts[AS_IT_IS], counts[name])
        differing = sum(set(a) != set(b) for a, b in zip(entities[AS_IT_IS], entities[name], strict=True))
        made.append({
            "corpus": corpus, "k": k, "documents": len(dev), "prompts": len(asked), "part": name,
            "edited": sum(said[name] is not None for said in found), "differing": differing,
            "f1": round(sum(counts[name], Counts()).f1, 4), "delta": round(d.delta, 4), "lo": round(d.lo, 4),
            "hi": round(d.hi, 4), "excludes_0": d.significant,
        })  # fmt: skip
    return made


def table(found: Sequence[dict[str, Any]], k: int) -> Iterator[str]:
    """The lines of a Markdown table: a row a part, two columns a corpus."""
    ours = {(r["part"], r["corpus"]): r for r in found if r["k"] == k}
    corpora, parts = (dict.fromkeys(key[n] for key in ours) for n in (1, 0))
    sizes = {c: ours[AS_IT_IS, c]["documents"] for c in corpora}
    yield f"| the prompt, k = {k} | " + " | ".join(f"{c} dev ({sizes[c]}) | difference" for c in corpora) + " |"
    yield "|---" + "|---:|---" * len(corpora) + "|"
    for part in parts:
        cells = [cell(ours[part, c]) for c in corpora]
        if any(cells):
            yield f"| {part} | " + " | ".join(f or "– | –" for f in cells) + " |"


def cell(r: dict[str, Any]) -> str:
    """F1 and difference of a row; nothing where its edit changes no prompt."""
    if r["part"] == AS_IT_IS:
        return f"{r['f1']:.4f} | "
    if not r["edited"]:
        return ""
    return f"{r['f1']:.4f} | " + (f"{r['delta']:+.4f} [{r['lo']:+.4f}, {r['hi']:+.4f}]" if r["differing"] else "0")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data directory")
    parser.add_argument("--corpus", nargs="+", choices=CORPORA, default=list(CORPORA))
    parser.add_argument("--k", nargs="+", type=int, default=[16], help="numbers of demonstrations")
    parser.add_argument("--documents", type=int, help="only so many of dev")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    home = Path(os.environ.get("NERC_HOME") or tempfile.mkdtemp(prefix="nerc-engine-parts-"))
    found = [r for k in options.k for corpus in options.corpus for r in rows(corpus, options, k, home)]
    if options.json:
        print(json.dumps({"benchmark": "engine_parts", "rows": found}))
        return
    print("\n\n".join("\n".join(table(found, k)) for k in options.k))


if __name__ == "__main__":
    main()
