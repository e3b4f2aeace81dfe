"""Reads CoNLL files: on each line a token first and its tag last, a blank line after each sentence; IOB2, IOB1 or IOBES.

Every sentence is a document; its text is its tokens joined by one blank. `-DOCSTART-` lines mark the begin of abstracts or
notes: the sentences of one are a group, named after the id in parentheses. Without them, the sentences around a sentence are
its `related`. Columns between token and tag are ignored; all lines have the same number of columns.

The scheme is detected for each file:

- IOBES if there are E- or S- tags (or L- and U-, their other names);
- IOB1 if B- only separates an entity from a previous one with the same label, or (SciBERT's files) if B- occurs only before an
  I-. Then an I- that continues nothing begins an entity (as in conlleval, so neighbours may merge) and is counted;
- else IOB2: each entity begins with B-, and an I- that continues nothing is an error.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from experiments.corpora._files import called, lines
from experiments.corpora._reader import Options, corpus_from, reader, reads
from experiments.corpora._tags import NEIGHBOURS, NO_TAG, Row, Scheme, prefix_and_label, scheme_of, spans_of
from experiments.corpora._write import checked
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError, WriteError
from ner_programs.types import AnnotatedText, Document, Entity

_DOCSTART = "-DOCSTART-"


@reader
def build(*, path: Path, data: Path, options: Options, scheme: Scheme | None = None) -> Corpus:
    """Read a file, a folder or a glob; `scheme` overrides the detected scheme.

    `mismatch` has no effect, because tags have neither offsets nor surfaces.
    """
    return corpus_from(partial(find, scheme=scheme), path, data, options, tokens=True)


def find(path: Path, remarks: Counter[str], *, scheme: Scheme | None = None) -> Iterator[Document]:
    """Yield the sentences of a file, named `train:1`, `train:2` ... after it. Raises ReadError with file and line."""
    part = called(path)
    count, grouped, found = _survey(path)
    for _, run in groupby(enumerate(_sentences(path, part), 1), key=lambda item: item[1][0] if grouped else item[0]):
        members = list(run)
        for i, (group, rows) in members:
            kin = [n for n, _ in members] if grouped else range(i - NEIGHBOURS, i + NEIGHBOURS + 1)
            related = tuple(f"{part}:{n}" for n in kin if n != i and 1 <= n <= count)
            text = " ".join(token for _, token, _, _ in rows)
            spans = spans_of(rows, scheme or found, remarks, partial(ReadError.at, path))
            entities = tuple(Entity.of(text, *span) for span in spans)
            yield Document(f"{part}:{i}", text, entities, group if grouped else "", related)


read = reads(find)


def refused(document: AnnotatedText) -> str | None:
    """Return why `write` refuses a document, whatever its entities are: a text that is not made of tokens."""
    text = document.text
    if not all(text.split(" ")) or text.startswith((_DOCSTART, "\ufeff")) or re.search(r"[\t\n]", text):
        return f"document {document.id!r} is not made of tokens with one blank between them"
    return None


def write(documents: Iterable[AnnotatedText], path: Path) -> tuple[str, ...]:
    """Write IOB2 with two columns, one sentence for each document. Return what the format cannot express.

    Tokens are separated by single blanks. Raises WriteError for a document without tokens, or with an entity that is
    discontinuous, nested, or ends inside a token. Ids and related documents must be those that `read` assigns for that file.
    """
    known = list(documents)
    part = called(path)
    marked = any(d.group != d.id for d in known)

    def write_to(new: Path) -> None:
        group, number = f"{part}:document-0", 0
        with new.open("w", encoding="utf-8", newline="") as stream:
            for document in known:
                if marked and document.group != group:
                    group, number = document.group, number + 1
                    name = "" if group == f"{part}:document-{number}" else f" ({' '.join(group.split())})"
                    stream.write(f"{_DOCSTART}{name}\n\n")
                stream.writelines(f"{token}\t{tag}\n" for token, tag in _tagged(path, document))
                stream.write("\n")

    return checked(path, known, write_to, read)


def _tagged(path: Path, document: AnnotatedText) -> Iterator[tuple[str, str]]:
    """Yield tokens and IOB2 tags. Raises WriteError if the document cannot be tagged."""
    if why := refused(document):
        raise WriteError(f"{path}: {why}")
    tokens, starts = document.text.split(" "), {e.start: e for e in document.entities}
    offset, now = 0, None
    done: set[int] = set()
    for token in tokens:
        end = offset + len(token)
        if now is None and (now := starts.get(offset)):
            tag = f"B-{now.label}"
            done.add(offset)
        else:
            tag = f"I-{now.label}" if now else "O"
        yield token, tag
        if now and now.end <= end:
            now = None
        offset = end + 1
    if len(done) != len(document.entities):
        raise WriteError(f"{path}: document {document.id!r} has entities that overlap or do not begin at a token")


def _survey(path: Path) -> tuple[int, bool, Scheme]:
    """Return the number of sentences, whether documents are marked, and the scheme of the tags."""
    count, grouped, within, tags = 0, False, False, [NO_TAG]
    for _, line in lines(path):
        row = line.rstrip()
        start = row.startswith(_DOCSTART)
        inside = bool(row) and not start
        count += inside and not within
        grouped, within = grouped or start, inside
        tags.append(prefix_and_label(row.rpartition("\t" if "\t" in row else " ")[2].strip(" ")) if inside else NO_TAG)
    return count, grouped, scheme_of([*tags, NO_TAG])


def _sentences(path: Path, part: str) -> Iterator[tuple[str, list[Row]]]:
    """Yield each sentence's rows with the name of its document."""
    number, name, width, rows = 0, f"{part}:document-0", 0, list[Row]()
    for at, line in lines(path):
        start = line.startswith(_DOCSTART)
        if line.strip() and not start:
            columns = _columns(line)
            token = columns[0].strip(" ")
            if len(columns) < 2 or not token:
                raise ReadError.at(path, at, f"expected a token and a tag, found {len(columns)} columns")
            if len(columns) != (width := width or len(columns)):
                raise ReadError.at(path, at, f"found {len(columns)} columns, but {width} in the lines before")
            prefix, label = prefix_and_label(columns[-1].strip(" "))
            if not prefix:
                raise ReadError.at(path, at, "the tag is none of O, B-<label>, I-<label>, E-<label>, S-<label>")
            rows.append((at, token, prefix, label))
            continue
        if rows:
            yield name, rows
            rows = []
        if start:
            number += 1
            given = re.fullmatch(r"-DOCSTART- +\((.+)\)\s*", line)
            name = given[1] if given else f"{part}:document-{number}"
    if rows:
        yield name, rows


def _columns(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
