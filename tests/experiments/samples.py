"""A small corpus in the format of each reader, to be damaged: file names and their bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

Files = Mapping[str, bytes]

TEXT = "The grey owl \U0001d6fd sat.\nOaks & elms do not."
OWL, OAKS = (9, 12), (20, 24)
assert (TEXT[slice(*OWL)], TEXT[slice(*OAKS)]) == ("owl", "Oaks")


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def bioc() -> Files:
    def one(name: str) -> str:
        return (
            f'<document><id>{name}</id>\n<infon key="group">g{name}</infon>\n<passage><infon key="type">title</infon>'
            "<offset>0</offset>\n<text>The grey owl &amp; he sat.</text>\n"
            '<annotation id="0"><infon key="type">Bird</infon><infon key="identifier">MESH:D1</infon>\n'
            '<location offset="9" length="3"/>\n<text>owl</text></annotation>\n</passage>\n'
            "<passage><offset>23</offset><text>Oaks do not.</text>\n"
            '<annotation id="1"><infon key="type">Tree</infon><location offset="23" length="4"/>\n'
            '<location offset="28" length="2"/><text>Oaks do</text></annotation>\n</passage>\n'
            '<relation id="R"><infon key="type">nests</infon></relation>\n</document>\n'
        )

    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n<collection><source>s</source>\n'
    return {
        "train.xml": f"{head}{one('1')}{one('2')}</collection>\n".encode(),
        "test.xml": f"{head}{one('3')}</collection>".encode(),
    }


def brat() -> Files:
    found = (
        "T1\tBird 9 12\towl\nT2\tTree 20 24;27 31\tOaks elms\nE1\tTree:T2 \nR1\tNests Arg1:T1 Arg2:T2\t\n"
        "A1\tNegated T2\n#1\tAnnotatorNotes T1\tmaybe\nN1\tReference T1 MeSH:D1\towl\n*\tOVERLAP T1 T2\n"
    )
    return {
        f"{part}/{name}.{ending}": content.encode()
        for part, name in (("train", "n1"), ("test", "n2"))
        for ending, content in (("txt", TEXT), ("ann", found))
    }


def conll() -> Files:
    iob = "-DOCSTART-\n\nThe\tO\ngrey\tB-Bird\nowl\tI-Bird\n\nOaks\tB-Tree\n&\tO\nelms\tB-Tree\ndo\tO\nnot\tO\n"
    iobes = "The O\ngrey B-Bird\nowl E-Bird\n\nOaks S-Tree\nand O\nelms S-Tree\n"
    return {"train.tsv": iob.encode(), "test.txt": iobes.encode()}


def doccano() -> Files:
    pieces = [{"id": 1, "start_offset": 9, "end_offset": 12, "label": "Bird"}]
    triples = [[*OWL, "Bird"], [*OAKS, "Tree"]]
    return {
        "train.jsonl": lines(
            {"id": 1, "text": TEXT, "label": triples, "Comments": []}, {"id": 2, "data": TEXT, "labels": triples}
        ),
        "test.jsonl": lines({"id": 3, "text": TEXT, "entities": pieces, "relations": [{"id": 1}], "patient": "p"}),
    }


def jsonl() -> Files:
    owl = {
        "start": 9, "end": 12, "label": "Bird", "text": "owl", "id": "MESH:D1", "score": 0.5, "attributes": {"a": "b"},
    }  # fmt: skip
    both = {"start": 9, "end": 24, "label": "Both", "fragments": [OWL, OAKS]}
    row = {"text": TEXT, "entities": [owl, both], "group": "p"}
    return {
        "train.jsonl": lines({**row, "id": "a"}, {**row, "id": 2, "related": ["a"]}),
        "dev.jsonl": lines({"text": TEXT}),
    }


def label_studio() -> Files:
    def task(number: int) -> Any:
        regions = [
            {"type": "labels", "value": {"start": a, "end": b, "labels": [label], "text": TEXT[a:b]}}
            for (a, b), label in ((OWL, "Bird"), (OAKS, "Tree"))
        ]
        kinds = [*regions, {"type": "relation", "from_id": "x"}]
        annotations = [
            {"id": 5, "result": kinds, "was_cancelled": False},
            {"id": 6, "result": [], "was_cancelled": True},
        ]
        return {"id": number, "data": {"text": TEXT, "patient": "p"}, "annotations": annotations, "predictions": [{}]}

    first, second = [task(1), task(2)], [task(3)]
    return {"train.json": json.dumps(first, indent=1).encode(), "test.json": json.dumps(second, indent=1).encode()}


def prodigy() -> Files:
    spans = [{"start": 9, "end": 12, "label": "Bird", "token_start": 2}, {"start": 20, "end": 24, "label": "Tree"}]
    row = {"text": TEXT, "spans": spans, "answer": "accept", "_view_id": "ner_manual"}
    return {
        "train.jsonl": lines({**row, "_input_hash": -7, "meta": {"id": 1}}, {**row, "answer": "reject"}, row),
        "test.jsonl": lines({**row, "_input_hash": 8, "meta": {"id": "a", "patient": "p"}}),
    }


def pubtator() -> Files:
    def one(name: str) -> str:
        return (
            f"{name}|t|The grey owl sat.\n{name}|a|Oaks do not.\n{name}\t9\t12\towl\tBird\tD1|OMIM:2\n"
            f"{name}\t18\t22\tOaks\tTree\t-1\n{name}\tCID\tD1\tD2\n\n"
        )

    return {"train.txt": (one("11") + one("12")).encode(), "test.txt": one("13").encode()}


def i2b2() -> Files:
    found = 'c="grey owl" 1:1 1:2||t="bird"\nc="oaks  &" 2:0 2:1||t="tree"\n'
    return {
        f"{part}/{name}.{ending}": content.encode()
        for part, name in (("train", "n1"), ("test", "n2"))
        for ending, content in (("txt", "The grey owl sat.\nOaks  & elms do not.\n"), ("con", found))
    }


def webanno() -> Files:
    head = (
        "#FORMAT=WebAnno TSV 3.3\n#T_SP=webanno.custom.Thing|identifier|value\n"
        "#T_RL=webanno.custom.Nests|kind|BT_webanno.custom.Thing\n\n\n"
    )
    rows = (
        "#Text=A \U0001f426 sat.\n1-1\t0-1\tA\t_\t_\t_\t_\t\n1-2\t2-4\t\U0001f426\tMESH:D1\tBird\t_\t_\t\n"
        "1-3\t5-8\tsat\t_\t_\t_\t_\t\n1-4\t8-9\t.\t_\t_\t_\t_\t\n\n"
        "#Text=Oak trees\n2-1\t10-13\tOak\t*[2]|*\tTree[2]|Wood\t*\t1-2\t\n"
        "2-1.1\t10-11\tO\t*\tLetter\t_\t_\t\n2-2\t14-19\ttrees\t*[2]\tTree[2]\t_\t_\t\n"
    )
    return {"train/n1.tsv": (head + rows).encode(), "test/n2.tsv": (head + rows).encode()}


TOKENS = {"tokens": ["The", "grey", "owl"], "ner_tags": ["O", "B-Bird", "I-Bird"]}
KB = {
    "document_id": "1",
    "passages": [{"text": [TEXT], "offsets": [[0, len(TEXT)]]}],
    "entities": [
        {"type": "Bird", "offsets": [OWL], "text": ["owl"], "normalized": [{"db_name": "MESH", "db_id": "D1"}]}
    ],
    "relations": [],
}


def hf() -> Files:
    return {"train.jsonl": lines({**TOKENS, "id": "0"}, TOKENS), "validation.json": json.dumps([TOKENS]).encode()}


def hf_bigbio() -> Files:
    return {"train.jsonl": lines(KB), "test.json": json.dumps([{**KB, "document_id": "2"}], indent=1).encode()}


def hf_csv() -> Files:
    cell = json.dumps([{"start": 9, "end": 12, "label": "Bird"}]).replace('"', '""')
    return {
        "train.csv": f'id,text,entities\n1,"{TEXT}","{cell}"\n2,"a ""b""",[]\n'.encode(),
        "test.tsv": b'id\ttext\tentities\n3\tx\t[[0,1,"Tree"]]\n',
    }


def hf_parquet() -> Files:
    import datasets

    files: dict[str, bytes] = {}
    for part, row in (("train", {**KB, "document_id": "1"}), ("test", {**KB, "document_id": "2"})):
        stream = io.BytesIO()
        datasets.Dataset.from_list([row]).to_parquet(stream)
        files[f"{part}-00000-of-00001.parquet"] = stream.getvalue()
    return files


SAMPLES: dict[str, Callable[[], Files]] = {
    f.__name__: f
    for f in (
        bioc, brat, conll, doccano, hf, hf_bigbio, hf_csv, hf_parquet, i2b2, jsonl, label_studio, prodigy, pubtator,
        webanno,
    )
}  # fmt: skip
