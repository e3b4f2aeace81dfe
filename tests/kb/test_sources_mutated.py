"""Damaged copies of a small file of every source: read, or refused with a KnowledgeError, never anything else."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kb import KnowledgeBase
from kb.errors import KnowledgeError
from kb.sources import gazetteer, gene_info, mesh, obo, obograph, rrf, sssom, tsv
from tests.effort import often
from tests.kb import test_sources, test_sources_formats, test_sources_rrf

COPIES = often(60, 2000)
MESH = {
    "terms.tsv": "mesh_id\tmesh_name\nD1\tBirds\nD2\tOwls, Barn\n",
    "tree-numbers.tsv": "mesh_id\tmesh_name\tmesh_tree_number\nD1\tBirds\tB01\nD2\tOwls, Barn\tB01.1\n",
}
COLUMNS = {"id": "code", "name": "label", "synonyms": "also"}
KINDS: dict[str, tuple[dict[str, str], Callable[[Path], Any]]] = {
    "obo": ({"x.obo": test_sources.OBO}, lambda f: obo.build(f / "x.obo", root="B:1")),
    "obograph": ({"x.json": json.dumps(test_sources_formats.GRAPH)}, lambda f: obograph.build(f / "x.json")),
    "rrf": (test_sources_rrf.FILES, lambda f: rrf.build(f, type_concepts=True)),
    "sssom": ({"x.tsv": test_sources_formats.SSSOM}, lambda f: sssom.build(f / "x.tsv")),
    "mesh": (MESH, lambda f: mesh.build(f)),
    "tsv": ({"x.tsv": test_sources.TABLE}, lambda f: tsv.build(f / "x.tsv", columns=COLUMNS)),
    "csv": ({"x.csv": test_sources.TABLE.replace("\t", ",")}, lambda f: tsv.build(f / "x.csv", columns=COLUMNS)),
    "gene_info": ({"x": test_sources_formats.GENES}, lambda f: gene_info.build(f / "x")),
    "gazetteer": ({"x.tsv": "surface\tlabel\nowl\tBird\noak\tTree\n"}, lambda f: gazetteer.build(f / "x.tsv")),
}
PIECES = [
    b"|", b"\t", b'"', b"\n", b"\r\n", b"\xff", b"\x00", b"[", b"]", b"{", b"}", b":", b"\\", b",", b"\xef\xbb\xbf",
    b"0",
]  # fmt: skip


def damaged(content: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        here, there = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        kind = rng.randrange(4)
        if kind == 0:
            content = content[:here] + content[min(there, here + 30) :]
        elif kind == 1:
            content = content[:here] + rng.choice(PIECES) + content[here:]
        elif kind == 2:
            content = content[:there] + content[here : here + 40] + content[there:]
        else:
            content = content[:here] + bytes([rng.randrange(256)]) + content[here + 1 :]
    return content


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(tmp_path: Path, kind: str) -> None:
    files, build = KINDS[kind]
    rng = random.Random(kind)
    read = 0
    for _ in range(COPIES):
        broken = rng.choice(list(files))
        for name, text in files.items():
            content = text.encode()
            (tmp_path / name).write_bytes(damaged(content, rng) if name == broken else content)
        try:
            KnowledgeBase.of(build(tmp_path))
            read += 1
        except KnowledgeError:
            pass
    assert 0 < read < COPIES
