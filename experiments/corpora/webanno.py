"""Reads INCEpTION and WebAnno exports, "WebAnno TSV 3": one .tsv for each document, with its sentences and their tokens.

`#Text=` lines have the text of a sentence. Rows have its tokens with offsets, and one or more columns for each layer of the
header. In a cell, `_` means no annotation, `*` an annotation without a value, and `a|b` stacked annotations. Cells with the
same `[2]` are one annotation. Offsets count UTF-16 units, as in Java, and are converted to characters. The file does not have
the text between sentences: gaps are filled with a line end and blanks.

Format: INCEpTION user guide, appendix "WebAnno TSV 3.x".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from experiments.corpora._mismatch import Claim, Found
from experiments.corpora._reader import Options, corpus_from, reader, reads
from experiments.corpora._webanno import Layer, Tokens, Unit, parsed, tokens_of, values_of
from experiments.corpora.corpus import Corpus
from experiments.corpora.labels import concept_id
from experiments.errors import ReadError

_LINGUISTIC = re.compile(r"\.(lexmorph|segmentation|syntax|transform)\.type\.")
_NO_LAYER = "documents without the layer"


@dataclass
class _Span:
    """An annotation: its rows and its features."""

    rows: list[Unit]
    features: dict[str, str]


@reader
def build(*, path: Path, data: Path, options: Options, layer: str | None = None, feature: str | None = None) -> Corpus:
    """Read a folder of exports (also with sub-folders train, dev and test), one file, or a glob.

    `layer` is the span layer to read, with or without its package; it is required if there are several custom layers. `feature`
    is the label: by default `value`, or the layer's only feature. A feature `identifier` is the concept, others are attributes.
    A sub-folder with one .tsv (a document with its one annotator, or the curator) is a document.
    """
    corpus = corpus_from(partial(find, layer=layer, feature=feature), path, data, options, notes=".tsv")
    if f"{_NO_LAYER}: {sum(1 for _ in corpus.parts())}" in corpus.remarks:
        raise ReadError(f"{path}: no file has {f'a layer {layer}' if layer else 'a span layer that no parser made'}")
    return corpus


def find(path: Path, remarks: Counter[str], *, layer: str | None = None, feature: str | None = None) -> Iterator[Found]:
    """Yield the documents of a folder or file; `remarks` counts what is ignored. ReadError names file and line."""
    before: Layer | None = None
    for name, file in [(path.stem, path)] if path.is_file() else _files(path):
        layers, columns, text, units = parsed(file)
        chosen = _chosen(file, layers, layer)
        if before and chosen and chosen.name != before.name:
            raise ReadError(f"{file}: its layer is {chosen.name}, but {before.name} in a file before; choose a `layer`")
        before = chosen or before
        remarks[_NO_LAYER] += chosen is None
        taken = range(chosen.first, chosen.first + len(chosen.features)) if chosen else range(0)
        other = [cell for u in units for i, cell in enumerate(u.cells[:columns]) if i not in taken and cell != "_"]
        remarks["cells of other layers, ignored"] += len(other)
        tokens = tokens_of(file, units, text)
        claims = [
            Claim(partial(ReadError.at, file, line), ((start, end),), "", surface, what="the token")
            for line, (start, end, surface) in tokens.items()
            if start < end
        ]
        if chosen:
            remarks["annotations with slots, whose links are ignored"] += chosen.slots(units)
            label = _label(file, chosen, feature)
            made = [_claim(file, span, label or chosen, tokens, text) for span in _spans(file, units, chosen)]
            claims += [claim for claim in made if claim]
            remarks["annotations without a value or a text, ignored"] += made.count(None)
        yield Found(name, ((0, text),), tuple(claims))


read = reads(find)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    found = 0
    for place in sorted(folder.iterdir()):
        if place.suffix == ".tsv" and place.is_file():
            yield place.stem, place
        elif place.is_dir():
            inside = sorted(place.glob("*.tsv"))
            if len(inside) > 1:
                raise ReadError(f"{place}: {len(inside)} annotations of one document; keep one, or the curated one")
            if not inside:
                continue
            yield place.name, inside[0]
        else:
            continue
        found += 1
    if not found:
        raise ReadError(f"{folder}: there is no .tsv file in it, nor in a sub-folder")


def _chosen(path: Path, layers: list[Layer], wanted: str | None) -> Layer | None:
    """Return the wanted layer, or the only one that is not from a parser; None if the file has none."""
    if wanted:
        known = [layer for layer in layers if wanted in (layer.name, layer.short)]
    else:
        known = [layer for layer in layers if not _LINGUISTIC.search(layer.name)]
    if len(known) > 1:
        names = ", ".join(one.name for one in known)
        raise ReadError(f"{path}: there are several layers, choose a `layer`: {names}")
    return known[0] if known else None


def _label(path: Path, layer: Layer, wanted: str | None) -> str:
    """Return the feature with the label; "" if the layer has no features."""
    known = list(layer.plain)
    free = [f for f in known if f != "identifier"]
    choice = wanted or ("value" if "value" in known else free[0] if len(free) == 1 else None)
    if choice not in known:
        raise ReadError(f"{path}: choose the label of {layer.short} by `feature`: {', '.join(known)}")
    return choice


def _spans(path: Path, units: list[Unit], layer: Layer) -> list[_Span]:
    """Return the annotations of a layer, sorted by start."""
    spans: dict[object, _Span] = {}
    for unit in units:
        cells = [values_of(unit.cells[column]) for column in layer.plain.values()]
        if len({len(values) for values in cells}) > 1:
            raise ReadError.at(path, unit.line, f"the columns of {layer.short} do not hold as many annotations each")
        for i, stacked in enumerate(zip(*cells, strict=True)):
            ids = [number for _, number in stacked if number]
            named = {name: v for name, (v, _) in zip(layer.plain, stacked, strict=True) if v}
            span = spans.setdefault(ids[0] if ids else (unit.line, i), _Span([], named))
            if span.features != named or (span.rows and unit.token > span.rows[-1].token + 1):
                raise ReadError.at(path, unit.line, f"[{ids[0]}] does not go on where it was, or with other values")
            span.rows.append(unit)
    return list(spans.values())


def _claim(path: Path, span: _Span, label: str | Layer, tokens: Tokens, text: str) -> Claim | None:
    """Return the claim of an annotation; None if it has no value or no text. `label` is a feature, or a layer without features.

    The claim has a surface (its tokens) only if a token differs from the text at its offsets.
    """
    features, rows = dict(span.features), [tokens[row.line] for row in span.rows]
    name = label.short if isinstance(label, Layer) else features.pop(label, None)
    start, end = rows[0][0], rows[-1][1]
    if name is None or start >= end:
        return None
    surface = (
        None if all(surface == text[a:b] for a, b, surface in rows) else " ".join(surface for _, _, surface in rows)
    )
    rest = {"concept": concept_id(features.pop("identifier", "")), "attributes": features}
    return Claim(partial(ReadError.at, path, span.rows[0].line), ((start, end),), name, surface, rest)
