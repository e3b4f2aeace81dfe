"""Arrays in files, without pickle: what took a neural encoder to make."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 1 << 15  # numbers of one vector


def kept(folder: Path | None, name: str, rows: int, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """Return the array of so many rows that lies in `folder`, else make it and leave it there; only its owner can read it."""
    if folder is None:
        return make()
    file = folder / f"{name}.npy"
    try:
        return read(file, rows)
    except (OSError, ValueError):
        pass  # not there, or damaged
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
        array = np.lib.format.open_memmap(
            file, mode="r"
        )  # which holds the size that the file says against the file's own
    except OSError:
        raise
    except Exception as error:  # NumPy reads the head of a file as Python: a damaged one raises whatever that does
        raise ValueError("no array") from error
    shaped = array.ndim == 2 and len(array) == rows and 0 < array.shape[1] <= MOST and array.dtype == np.float32
    if not shaped or not np.isfinite(array).all():
        raise ValueError(f"not {rows} rows of numbers")
    return np.array(array)


def write(arrays: Mapping[str, NDArray[Any]], folder: Path) -> None:
    """Write arrays to a new folder, one file each."""
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
