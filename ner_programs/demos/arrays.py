"""Reads and writes arrays in files without pickle: the vectors of neural encoders."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 1 << 15  # maximum number of dimensions


def kept(folder: Path | None, name: str, rows: int, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Return the array `name` of `rows` rows from `folder`, else make it and store it there, readable only by its owner."""
    if folder is None:
        return make()
    file = folder / f"{name}.npy"
    try:
        return read(file, rows)
    except (OSError, ValueError):
        pass  # missing or damaged
    made = make()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f"{name}.{os.getpid()}.npy")
    try:
        np.save(draft, made, allow_pickle=False)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return made


def read(file: Path, rows: int) -> NDArray[Any]:
    """Read an array of numbers with one row for each of `rows`. Raises ValueError for anything else."""
    try:
        array = np.lib.format.open_memmap(file, mode="r")  # it checks the size in the header against the file's size
    except OSError:
        raise
    except Exception as error:  # NumPy parses the header as Python: a damaged one may raise anything
        raise ValueError("no array") from error
    shaped = array.ndim == 2 and len(array) == rows and 0 < array.shape[1] <= MOST and array.dtype == np.float32
    if not shaped or not np.isfinite(array).all():
        raise ValueError(f"not {rows} rows of numbers")
    return np.array(array)


def write(arrays: Mapping[str, NDArray[Any]], folder: Path) -> None:
    """Write arrays to a new folder, one file for each."""
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
