"""A bundle: a compiled program as a folder of plain text. No pickle, no key, no LM.

`program.json` says what to build and what it was compiled with, `state.json` what an optimizer put into the predictors,
`pool.jsonl` the labelled texts that its selector shows or its verifier learns from, `index/` their vectors where a neural
encoder made some, `kb/` the knowledge base (or only its fingerprint, for licensed sources).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import dspy
from pydantic import ValidationError

from kb import KnowledgeBase, open_kb, write_kb
from ner_programs._errors import BundleError, ComponentError, LMSetupError
from ner_programs.demos import Demonstration, Pool
from ner_programs.demos._arrays import read as read_array
from ner_programs.demos._arrays import write as write_arrays
from ner_programs.program import NERProgram
from ner_programs.spec import ProgramSpec
from ner_programs.types import Mention

LAYOUT = 1
PARTS = {"program.json", "state.json", "pool.jsonl", "index", "kb"}


def save(
    program: NERProgram,
    folder: Path | str,
    *,
    kb: Literal["carry", "reference"] = "carry",
    kb_folder: Path | None = None,
    private: bool | None = None,
) -> Path:
    """Write `program` as a bundle; an existing bundle in `folder` is replaced in one step.

    `kb_folder` names a written copy of the program's knowledge base, which is then linked instead of written again;
    `kb="reference"` leaves the knowledge base out and records its fingerprint only. A `private`
    bundle can be opened by its owner alone (default: as `program.private` says). Raises BundleError where anything but
    a bundle is in `folder`, and for a verify stage that the spec does not name, since nothing could build it again.
    """
    folder = Path(folder).absolute()
    if program.verify is not None and program.spec.verify is None:
        raise BundleError(
            "the spec does not name the program's verify stage; name it: verify={'name': 'package.module'}"
        )
    _refuse_other(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        manifest = {
            "layout": LAYOUT,
            "nerc": version("nerc"),
            "dspy": version("dspy"),
            "lm": program.wants,
            "private": program.private if private is None else private,
            "kb": None if program.kb is None else {"fingerprint": program.kb.fingerprint, "carried": kb == "carry"},
            "spec": program.spec.model_dump(),
        }
        _write(draft / "program.json", manifest)
        _write(draft / "state.json", state_of(program))
        with (draft / "pool.jsonl").open("w", encoding="utf-8") as lines:
            needed = program.spec.demos or _learns(getattr(program.verify, "verifier", None))
            lines.writelines(json.dumps(asdict(d), ensure_ascii=False) + "\n" for d in program.pool if needed)
        index = getattr(program.extract.select, "index", None)
        if isinstance(index, str) and index in program.pool.arrays:
            write_arrays({index: program.pool.arrays[index]}, draft / "index")
        if program.kb is not None and kb == "carry":
            _carry(program.kb, kb_folder, draft / "kb")
        if not manifest["private"]:
            draft.chmod(0o777 & ~_umask())
        _replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def load(folder: Path | str, *, kb: KnowledgeBase | None = None, trust: Sequence[str] = ()) -> NERProgram:
    """Load a bundle; `kb` supplies a knowledge base that it does not carry, `trust` allows components of other packages.

    Raises BundleError where the folder is no bundle, or where the knowledge base is missing or is another one, and
    ComponentError for a component that does not exist here or is not trusted.
    """
    folder = Path(folder)
    trust = (trust,) if isinstance(trust, str) else trust
    manifest = _read(folder / "program.json")
    if manifest.get("layout") != LAYOUT:
        raise BundleError(
            f"{folder}: written by nerc {manifest.get('nerc')} in layout {manifest.get('layout')}, not {LAYOUT}"
        )
    try:
        spec, wants, known = ProgramSpec.model_validate(manifest["spec"]), dict(manifest["lm"]), manifest["kb"]
        wanted = None if known is None else str(known["fingerprint"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{folder / 'program.json'}: not a program that this version of nerc can build: {_line(error)}"
        ) from error
    try:
        program = spec.build(_knowledge(folder, wanted, kb), _pool(folder), trust=trust)
        set_state(program, _read(folder / "state.json"))
    except (BundleError, ComponentError, LMSetupError):
        raise
    except ValueError as error:  # what kb has to say
        raise BundleError(f"{folder}: {_line(error)}") from error
    program.wants, program.private = wants, bool(manifest.get("private"))
    return program


def state_of(program: dspy.Module) -> dict[str, Any]:
    """Return what optimizers change: each predictor's instructions and demonstrations, as plain data."""
    return {
        name: {"instructions": p.signature.instructions, "demos": [_plain(d) for d in p.demos]}
        for name, p in program.named_predictors()
    }


def set_state(program: dspy.Module, state: dict[str, Any]) -> None:
    """Put back what `state_of` returned; raises BundleError if the predictors are not the same."""
    predictors = dict(program.named_predictors())
    if predictors.keys() != state.keys():
        raise BundleError(f"the state is for predictors {sorted(state)}, the program has {sorted(predictors)}")
    try:
        for name, predictor in predictors.items():
            predictor.signature = predictor.signature.with_instructions(str(state[name]["instructions"]))
            demos = [dspy.Example(**d) for d in state[name]["demos"]]
            filled = isinstance(program, NERProgram)
            predictor.demos = [program.refilled(predictor, d) for d in demos] if filled else demos
    except (KeyError, TypeError) as error:
        raise BundleError(f"the state of predictor {name!r} is damaged: {_line(error)}") from error


def _learns(verifier: Any) -> bool:
    """Say whether a verifier, or one that it asks (`of`), learns from the pool."""
    return verifier is not None and (hasattr(verifier, "pool") or _learns(getattr(verifier, "of", None)))


def _plain(demo: Any) -> dict[str, Any]:
    """Return a demonstration's fields, but for what only training needs and what can be made again.

    Knowledge lines are made again when a bundle is loaded: they may be strings of a licensed knowledge base.
    """
    return {k: v for k, v in dict(demo).items() if k not in ("entities", "exclude", "augmented", "knowledge")}


def _knowledge(folder: Path, wanted: str | None, given: KnowledgeBase | None) -> KnowledgeBase | None:
    if wanted is None:
        return None
    kb = open_kb(folder / "kb") if given is None and (folder / "kb").is_dir() else given
    if kb is None:
        raise BundleError(f"{folder} does not carry its knowledge base {wanted}; give it with load(..., kb=)")
    if kb.fingerprint != wanted:
        raise BundleError(f"{folder} was compiled with knowledge base {wanted}, not {kb.fingerprint}")
    return kb


def _carry(kb: KnowledgeBase, written: Path | None, to: Path) -> None:
    if written is None:
        write_kb(kb, to)
        return
    try:
        shutil.copytree(written, to, copy_function=os.link)
    except (OSError, shutil.Error):  # another file system
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(written, to)


def _pool(folder: Path) -> Pool:
    file = folder / "pool.jsonl"
    try:
        with file.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        shown = [Demonstration(**{**r, "mentions": tuple(Mention(**m) for m in r["mentions"])}) for r in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{file}: not a pool of demonstrations: {_line(error)}") from error
    arrays = {}
    for file in sorted((folder / "index").glob("*.npy")):
        try:
            arrays[file.stem] = read_array(file, len(shown))
        except (OSError, ValueError) as error:
            raise BundleError(f"{file}: not the vectors of this pool") from error
    return Pool(shown, arrays)


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{file}: not part of a bundle: {_line(error)}") from error
    if not isinstance(content, dict):
        raise BundleError(f"{file}: not part of a bundle")
    return content


def _line(error: Exception) -> str:
    """Return what an error says, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return " ".join(str(error).split())


def _refuse_other(folder: Path) -> None:
    """Raise BundleError where `folder` is or holds anything that is not part of a bundle."""
    if not folder.exists():
        return
    held = {file.name for file in folder.iterdir()} if folder.is_dir() else {folder.name}
    if not folder.is_dir() or held - PARTS or (held and "program.json" not in held):
        raise BundleError(f"{folder} exists and is not a bundle; it is left as it is")


def _replace(draft: Path, folder: Path) -> None:
    """Move `draft` to `folder`, the old bundle out of the way first; anything that is no bundle is left alone."""
    _refuse_other(folder)
    aside = draft.with_name(f"{draft.name}.old")
    if folder.exists():
        folder.rename(aside)
    draft.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
