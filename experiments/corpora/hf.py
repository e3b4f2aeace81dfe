"""Reads any Hugging Face dataset: parquet, JSON, JSON-lines or CSV files, a `save_to_disk` folder, or a name on the hub.

Rows are tokens with tags (`tokens`, `ner_tags`), a text with spans (`text`, `entities`), or BigBio's `bigbio_kb`; `columns`
maps other column names. No code of a dataset is run. The hub is used only for a corpus that is not private. Local files are
copied only into a temporary folder of nerc's cache.
"""

from __future__ import annotations

import re
from collections import Counter
from glob import has_magic
from pathlib import Path

from experiments.corpora._files import locate, part_of, sources
from experiments.corpora._hf import ENDINGS, from_disk, from_files, from_hub
from experiments.corpora._mismatch import placed
from experiments.corpora._reader import Options, reader
from experiments.corpora._tables import Columns, Layout, Row, find
from experiments.corpora.corpus import Corpus, Documents, in_order
from experiments.corpora.labels import listed
from experiments.errors import ReadError
from ner_programs.privacy import Privacy


@reader
def build(
    *, path: str, data: Path, options: Options, config: str | None = None, columns: Columns | None = None
) -> Corpus:
    """Read files, a `save_to_disk` folder, a glob, or (with `private = false`) a dataset of the hub and its `config`.

    Splits named train, validation and test (or similar) are the parts. A single split is divided by `split`, unless it is named
    test.
    """
    given, remarks = columns or Columns(), Counter[str]()
    splits = _splits(path, data, config, given, options.privacy, remarks)
    names = dict.fromkeys(name for rows in splits.values() for row in rows for name in row.values)
    if not names:
        raise ReadError(f"{path}: there are no rows")
    layout = Layout.of(Path(path), names, given)
    parts = options.parted(_parts(splits, layout, options, remarks), path)
    return Corpus(
        Path(path).name.partition(".")[0],
        *in_order(parts),
        unit="document" if layout.kind == "tokens" else "sentence",
        privacy=options.privacy,
        resampling="sentence" if layout.kind == "tokens" and "group" not in layout.columns else "document",
        remarks=listed(remarks),
    )


def _splits(
    path: str, data: Path, config: str | None, given: Columns, privacy: Privacy, remarks: Counter[str]
) -> dict[str, list[Row]]:
    """Return the rows by split, from the disk if the path exists, else from the hub."""
    here = Path(path).exists() or (data / path).exists()
    if has_magic(path) and not here:
        return from_files(sources(Path(path), data, remarks), given.wanted)
    named = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path) and not path.endswith(ENDINGS)
    if config and (here or not named):
        raise ReadError(
            f"{path}: `config` is for datasets of the hub; name the folder or file of the one that is wanted"
        )
    if here or not named:
        return from_disk(locate(Path(path), data), given.wanted)
    if not privacy.may_connect:
        raise ReadError(
            f"there is no {path} here or in {data}; the Hugging Face hub is asked only for a corpus with `private = false`"
        )
    return from_hub(path, config, given.wanted)


def _parts(
    splits: dict[str, list[Row]], layout: Layout, options: Options, remarks: Counter[str]
) -> dict[str, Documents]:
    """Return the documents by part; a single split is under "". Other splits are ignored with a remark."""
    parts: dict[str, Documents] = {}
    for name, rows in splits.items():
        part = part_of(name) or ""
        if len(splits) == 1:
            part = "test" if part == "test" and not options.split else ""
        elif not part or part in parts:
            remarks[f"rows of the split {name}, ignored"] += len(rows)
            continue
        parts[part] = tuple(placed(find(rows, layout, name, remarks), options.mismatch, remarks))
    if not parts:
        raise ReadError(f"none of the splits {', '.join(splits)} is called train, validation or test")
    return parts
