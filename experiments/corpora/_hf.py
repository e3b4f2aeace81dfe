"""Loads the rows of a Hugging Face dataset from files, a `save_to_disk` folder or the hub. Runs no code of a dataset."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from experiments import places
from experiments.corpora._files import called, lines, part_of
from experiments.corpora._reader import problem
from experiments.corpora._tables import Row
from experiments.errors import ReadError

ENDINGS = (".parquet", ".json", ".jsonl", ".csv", ".tsv")
Wanted = frozenset[str]
T = TypeVar("T")
_OBJECT = TypeAdapter(dict[str, Any])
_OBJECTS = TypeAdapter(list[dict[str, Any]])


def from_files(files: Mapping[str, list[Path]], wanted: Wanted) -> dict[str, list[Row]]:
    """Return the rows of files by split. Files without a split in their names are one split, named after the first."""
    return {
        part or called(places[0]): [row for place in places for row in _rows(place, wanted)]
        for part, places in files.items()
    }


def from_disk(path: Path, wanted: Wanted) -> dict[str, list[Row]]:
    """Return the rows of a file or folder by split. A single file is a split with its name."""
    if path.is_file():
        return {path.name.partition(".")[0]: list(_rows(path, wanted))}
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        library = _library()
        return _splits(path, _called_safely(path, lambda: library.load_from_disk(str(path))), wanted)
    found: dict[str, list[Row]] = {}
    for file in sorted(f for f in path.rglob("*") if f.is_file() and f.suffix in ENDINGS):
        words = re.split(r"[^a-z]+", "/".join(file.relative_to(path).parts).lower())
        if split := next((word for word in words if part_of(word)), None):
            found.setdefault(split, []).extend(_rows(file, wanted))
    if not found:
        raise ReadError(
            f"{path}: there is no file of a split (train, validation, test) that ends in {' '.join(ENDINGS)}"
        )
    return found


def from_hub(name: str, config: str | None, wanted: Wanted) -> dict[str, list[Row]]:
    """Fetch a dataset into nerc's cache and return its rows by split. Raises ReadError with the reason if that fails."""
    library = _library()
    try:
        found = library.load_dataset(name, name=config, cache_dir=str(places.cache() / "datasets"))
    except RuntimeError as error:
        if "script" not in str(error):
            raise ReadError(f"{name}: cannot be loaded from the hub: {type(error).__name__}") from None
        raise ReadError(
            f"{name} is a script, and nothing that a dataset brings along is run; give the folder of its parquet files "
            "(the branch refs/convert/parquet has them for many), or of its `save_to_disk`"
        ) from None
    except ConnectionError:
        raise ReadError(
            f"{name}: the Hugging Face hub cannot be reached, and the dataset is not in the cache; is there a network, "
            "and is HF_HUB_OFFLINE unset? A dataset on this machine is read by its path"
        ) from None
    except FileNotFoundError:
        raise ReadError(f"{name}: there is no such dataset on the Hugging Face hub, or it asks for a login") from None
    except ValueError as error:
        configs = re.search(r"\[[\w', .-]*\]", str(error))
        hint = f"; `config` is one of {configs[0]}" if configs else ""
        raise ReadError(f"{name}: the hub's dataset cannot be loaded{hint}") from None
    except Exception as error:  # the library may raise anything on an uploaded dataset; its message may quote rows
        raise ReadError(f"{name}: cannot be loaded from the hub: {type(error).__name__}") from None
    return _splits(Path(name), found, wanted)


def _library() -> Any:
    """Import `datasets` on first use, because it takes seconds, and silence its messages."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    return datasets


def _called_safely(where: Path, ask: Callable[[], T]) -> T:
    """Call the library. Raises ReadError without the library's message, which may quote rows."""
    try:
        return ask()
    except Exception as error:
        raise ReadError(f"{where}: cannot be read: {type(error).__name__}") from None


def _splits(where: Path, found: Any, wanted: Wanted) -> dict[str, list[Row]]:
    """Return the rows of a `Dataset` or `DatasetDict`."""
    if not isinstance(found, Mapping):
        return {where.name: list(_table(where, found, wanted))}
    return {str(split): list(_table(where / str(split), table, wanted)) for split, table in found.items()}


def _table(where: Path, table: Any, wanted: Wanted) -> Iterator[Row]:
    """Yield the rows of a `Dataset` with the wanted columns, with class names instead of numbers."""
    some = [name for name in table.column_names if name in wanted]
    chosen = _called_safely(where, lambda: table.select_columns(some or table.column_names[:1]))
    rows = _called_safely(where, lambda: chosen.to_list())
    for number, values in enumerate(rows, 1):
        yield Row(where, number, {name: _named(chosen.features[name], value) for name, value in values.items()})


def _named(feature: Any, value: Any) -> Any:
    """Return a value with the names of class labels instead of their numbers."""
    if value is None:
        return None
    if hasattr(feature, "int2str"):
        return feature.int2str(value) if isinstance(value, int) and 0 <= value < feature.num_classes else value
    if isinstance(feature, Mapping) and isinstance(value, Mapping):
        return {name: _named(feature.get(name), inner) for name, inner in value.items()}
    inner = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", None)
    return [_named(inner, item) for item in value] if inner is not None and isinstance(value, list) else value


def _rows(path: Path, wanted: Wanted) -> Iterable[Row]:
    """Return the rows of a file, by its suffix. They are numbered from 1; in JSON lines and CSV by line."""
    if path.suffix == ".parquet":
        return _parquet(path, wanted)
    if path.suffix in (".csv", ".tsv"):
        return _csv(path)
    if path.suffix not in ENDINGS:
        raise ReadError(f"{path}: a file is wanted that ends in {' '.join(ENDINGS)}")
    with path.open("rb") as stream:
        whole = path.suffix == ".json" and stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    return _array(path) if whole else _lines(path)


def _parquet(path: Path, wanted: Wanted) -> Iterator[Row]:
    library = _library()
    with TemporaryDirectory(dir=places.cache(), prefix="reading-") as folder:
        read = library.Dataset.from_parquet
        table = _called_safely(path, lambda: read(str(path), cache_dir=folder, keep_in_memory=True))
        yield from _table(path, table, wanted)


def _lines(path: Path) -> Iterator[Row]:
    for number, line in lines(path):
        if line.strip():
            try:
                yield Row(path, number, _OBJECT.validate_json(line))
            except ValidationError as error:  # not chained: it quotes the line
                raise ReadError.at(path, number, problem(error)) from None


def _array(path: Path) -> Iterator[Row]:
    try:
        rows = _OBJECTS.validate_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:  # not chained: it quotes the file
        raise ReadError(f"{path}: {problem(error)}") from None
    yield from (Row(path, number, values) for number, values in enumerate(rows, 1))


def _csv(path: Path) -> Iterator[Row]:
    texts = (line + "\n" for _, line in lines(path))
    reader = csv.DictReader(texts, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
    try:
        for values in reader:
            if None in values:
                raise ReadError.at(path, reader.line_num, "the line has more columns than the first")
            yield Row(path, reader.line_num, {name: value or None for name, value in values.items()})
    except csv.Error as error:
        raise ReadError.at(path, reader.line_num, f"not CSV: {error}") from None
