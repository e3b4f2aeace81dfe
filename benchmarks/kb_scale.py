"""How a knowledge base grows: building, opening, room and retrieval at 10^4, 10^5 and 10^6 concepts.

    python benchmarks/kb_scale.py [--sizes 10000,100000,1000000] [--data ../shared/data] [--json]

Every size is a made-up UMLS (`synthetic_umls.py`) with 4 names and 5 relations a concept. Each is built in a process of its
own and opened in another, so that what they hold in memory is their own; `rss` is the most memory the process ever had, and
counts mapped pages that were touched, though these are shared and can be dropped (`open` after opening, `used` at the end).
`build_s` includes making the concepts up, a fifth of it, and writing. Times are wall-clock but for `build_cpu_s`, and medians:
`open_s` of 5 openings, `find_us`, `retrieve1_ms` and `retrieve2_ms` of 1,000 sentences of 25 words with known names (`walk`
with 1 and 2 hops along is_a and part_of; `retrieve_ms` is the slower), `walk2_us` of 2,000 concepts. With `--data` there is a
row for the joint disease knowledge base too (Disease Ontology and MONDO; sentences of NCBI-disease dev).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from benchmarks import synthetic_umls
from kb import Concept, KnowledgeBase, Relation, open_kb, write_kb
from kb.retrievers import walk
from kb.sources import obo, tsv

COLUMNS = (
    "size", "build_s", "build_cpu_s", "build_rss_mb", "disk_mb", "open_s", "open_rss_mb", "used_rss_mb", "find_us",
    "walk2_us", "retrieve1_ms", "retrieve2_ms", "retrieve_ms",
)  # fmt: skip
JOINT = "joint"


def items(size: str, data: Path | None) -> Iterator[Concept | Relation]:
    return joint(data) if size == JOINT and data else synthetic_umls.items(int(size))


def joint(data: Path) -> Iterator[Concept | Relation]:
    ontologies = data / "ontologies"
    yield from obo.build(ontologies / "doid/doid-2024-01-31.obo.gz", type="disease")
    columns = {"id": "curie", "name": "name", "synonyms": "text"}
    lexicon = ontologies / "biolexica/phenotype.ssslm.tsv.gz"
    yield from tsv.build(lexicon, columns=columns, type="disease", where={"source": "mondo"}, upper=True)
    edges = tsv.build(ontologies / "mondo/edges-2023-08-01.tsv", columns={"head": "x", "relation": "p", "tail": "y"})
    yield from (edge for edge in edges if isinstance(edge, Relation) and edge.name == "is_a")


def sentences(size: str, data: Path | None) -> list[str]:
    if size != JOINT or data is None:
        return synthetic_umls.sentences(int(size), 1_000)
    file = next((data / "corpora/ncbi-disease/iob").glob("dev*"))
    blocks = file.read_text(encoding="utf-8").strip().split("\n\n")
    return [" ".join(line.split("\t")[0] for line in block.splitlines()) for block in blocks]


def build(size: str, folder: Path, data: Path | None) -> dict[str, float]:
    start = time.perf_counter()
    kb = KnowledgeBase.of(items(size, data))
    write_kb(kb, folder)
    disk = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "build_s": round(time.perf_counter() - start, 2),
        "build_cpu_s": round(time.process_time(), 2),
        "build_rss_mb": rss(),
        "disk_mb": round(disk / 1e6, 1),
        "names": len(kb.names.forms),
        "relations": kb.describe()["relations"],
    }


def use(size: str, folder: Path, data: Path | None) -> dict[str, float]:
    opened = timed(lambda _: open_kb(folder), range(5))
    kb = open_kb(folder)
    room = rss()
    texts = sentences(size, data)
    known = [name for name in ("is_a", "part_of") if name in kb.relation_names]
    near, far = (walk.build(kb=kb, hops=hops, relations=tuple(known)) for hops in (1, 2))
    ids = [kb.concepts.ids[n] for n in random.Random(1).choices(range(len(kb)), k=2_000)]
    rows = {
        "find_us": 1e6 * timed(kb.names.find, texts),
        "walk2_us": 1e6 * timed(lambda id: kb.walk(id, 2, known), ids),
        "retrieve1_ms": 1e3 * timed(near, texts),
        "retrieve2_ms": 1e3 * timed(far, texts),
    }
    rows["retrieve_ms"] = max(rows["retrieve1_ms"], rows["retrieve2_ms"])
    found = sum(len(kb.names.find(text)) for text in texts) / len(texts)
    rounded = {name: round(value, 4) for name, value in rows.items()}
    return {"open_s": round(opened, 4), "open_rss_mb": room, **rounded, "used_rss_mb": rss(), "found": round(found, 2)}


def timed(call: Callable[[Any], object], values: Sequence[Any]) -> float:
    """Median of seconds."""
    times = []
    for value in values:
        start = time.perf_counter()
        call(value)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def rss() -> float:
    """The most memory this process ever had, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3), 1)


def row(size: str, data: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        made: dict[str, Any] = {"size": size if size == JOINT else int(size)}
        for phase in ("build", "use"):
            command = [sys.executable, __file__, "--phase", phase, "--sizes", size, "--folder", f"{folder}/kb"]
            command += ["--data", str(data)] if data else []
            made |= json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default="10000,100000,1000000", help="numbers of concepts, with commas between")
    parser.add_argument("--data", type=Path, help="the data directory, for the joint disease knowledge base")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--phase", choices=("build", "use"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase:
        print(json.dumps({"build": build, "use": use}[options.phase](options.sizes, options.folder, options.data)))
        return
    sizes = [*([JOINT] if options.data else []), *filter(None, options.sizes.split(","))]
    rows = {size: row(size, options.data) for size in sizes}
    if options.json:
        print(json.dumps(rows))
        return
    print("\t".join(COLUMNS))
    for made in rows.values():
        print("\t".join(str(made[column]) for column in COLUMNS))


if __name__ == "__main__":
    main()
