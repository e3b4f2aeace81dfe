"""How well and how fast strings are put back into the text: `align` beside `str.find` and, if installed, langextract.

    python benchmarks/alignment.py --data ../shared/data [--json]

Gold mentions of each NCBI-disease abstract, in the order of the text and without offsets, verbatim and perturbed (75 %
of the strings: other case, other hyphen spacing, a doubled blank, or one letter dropped). `exact` is the share that
comes back at exactly its offsets, `lost` the share that comes back nowhere, `us` the CPU time per string in µs.
langextract is no dependency of nerc: install it in an environment of its own, with rapidfuzz, and run this from there.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from ner_programs.alignment.align import align
from ner_programs.types import Mention

Span = tuple[int, int]
Case = tuple[str, list[str], list[Span]]  # a text, the strings to find in it, where they are
Aligner = Callable[[str, list[str]], "list[Span | None]"]  # None: not found


def read_pubtator(path: Path) -> Iterator[Case]:
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        lines = block.strip("\n").split("\n")
        text = " ".join(line.split("|", 2)[2] for line in lines[:2])
        rows = [line.split("\t") for line in lines[2:]]
        spans = sorted((int(row[1]), int(row[2])) for row in rows)
        assert all(text[int(r[1]) : int(r[2])] == r[3] for r in rows), block[:20]
        yield text, [text[start:end] for start, end in spans], spans


def perturbed(string: str, rng: random.Random) -> str:
    if rng.random() >= 0.75:
        return string
    kinds: list[Callable[[], str]] = [lambda: rng.choice([str.upper, str.lower, str.title, str.swapcase])(string)]
    if "-" in string:
        kinds.append(lambda: string.replace("-", rng.choice([" - ", "- ", " ", ""])))
    if " " in string:
        kinds.append(lambda: string.replace(" ", "  "))
    letters = [i for i, c in enumerate(string) if c.isalpha()]
    if len(letters) >= 5:
        kinds.append(lambda: string[: (i := rng.choice(letters))] + string[i + 1 :])
    return rng.choice(kinds)()


def by_align(text: str, strings: list[str]) -> list[Span | None]:
    """The label carries the number of the string, so that each string knows its entity."""
    found = {int(e.label): (e.start, e.end) for e in align(text, numbered(strings), policy="ordered")}
    return [found.get(i) for i in range(len(strings))]


def numbered(strings: list[str]) -> list[Mention]:
    return [Mention(string, str(i)) for i, string in enumerate(strings)]


def by_find(text: str, strings: list[str]) -> list[Span | None]:
    spans: list[Span | None] = []
    at = 0
    for string in strings:
        start = text.find(string, at)
        spans.append((start, start + len(string)) if start >= 0 else None)
        at = start + len(string) if start >= 0 else at
    return spans


def langextract_aligner() -> Aligner | None:
    try:
        from langextract.core.data import Extraction
        from langextract.resolver import Resolver
    except ImportError:
        return None
    resolver = Resolver()

    def by_langextract(text: str, strings: list[str]) -> list[Span | None]:
        said = [Extraction(extraction_class="x", extraction_text=string) for string in strings]
        places = [e.char_interval for e in resolver.align(said, text, token_offset=0, char_offset=0)]
        return [(p.start_pos, p.end_pos) if p and p.start_pos is not None else None for p in places]

    return by_langextract


def measure(aligner: Aligner, cases: list[Case]) -> dict[str, float]:
    aligner(*cases[0][:2])  # what is loaded on first use is not counted
    began = time.process_time()
    answers = [aligner(text, strings) for text, strings, _ in cases]
    seconds = time.process_time() - began
    pairs = [pair for got, (_, _, gold) in zip(answers, cases, strict=True) for pair in zip(got, gold, strict=True)]
    return {
        "exact": round(sum(got == gold for got, gold in pairs) / len(pairs), 4),
        "lost": round(sum(got is None for got, _ in pairs) / len(pairs), 4),
        "us": round(seconds / len(pairs) * 1e6, 1),
    }


def run(folder: Path, seed: int) -> list[dict[str, Any]]:
    aligners: dict[str, Aligner | None] = {"nerc": by_align, "str.find": by_find, "langextract": langextract_aligner()}
    rows: list[dict[str, Any]] = []
    for split in ("dev", "test"):
        rng = random.Random(seed)
        verbatim = [case for case in read_pubtator(folder / f"{split}.txt") if case[1]]
        noisy = [(text, [perturbed(s, rng) for s in strings], spans) for text, strings, spans in verbatim]
        for name, aligner in aligners.items():
            for strings, cases in (("verbatim", verbatim), ("perturbed", noisy)):
                figures = measure(aligner, cases) if aligner else {"skipped": "not installed"}
                rows.append({"split": split, "aligner": name, "strings": strings, **figures})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data directory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = run(options.data / "corpora/ncbi-disease/pubtator", options.seed)
    if options.json:
        print(json.dumps({"benchmark": "alignment", "seed": options.seed, "rows": rows}))
        return
    print(f"{'split':5} {'aligner':12} {'strings':10} {'exact':>7} {'lost':>7} {'us/string':>10}")
    for row in rows:
        head = f"{row['split']:5} {row['aligner']:12} {row['strings']:10}"
        if "skipped" in row:
            print(head, "not installed: skipped")
        else:
            print(head, f"{row['exact']:7.4f} {row['lost']:7.4f} {row['us']:10.1f}")


if __name__ == "__main__":
    main()
