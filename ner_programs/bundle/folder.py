"""Saves and loads bundles: compiled programs as folders of plain text. No pickle, no key, no LM.

A pickle of a program (for `multiprocessing`, say) holds only the path and the digest of its bundle, see `origin`.

- `program.json`: the spec, and the versions and LM that it was compiled with.
- `state.json`: instructions and demonstrations of the predictors, as an optimizer set them.
- `pool.jsonl`: the labelled texts for its selector, its verifier, or what finds attributes.
- `fusion.json`: the trained model of `verify = { name = "fuse" }`.
- `index/`: vectors of the pool, if a neural encoder made some.
- `kb/`: the knowledge base (for licensed sources only its fingerprint, in `program.json`).
- `manifest.json`: the digest of every file.

A bundle may come from an untrusted origin: no other file is read, and every file must match `schema`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from kb import KnowledgeBase, open_kb, write_kb
from kb.files import problem
from ner_programs.bundle import schema
from ner_programs.bundle.files import MANIFEST, Files, read, write, write_manifest
from ner_programs.bundle.fusion import read_fusion, write_fusion
from ner_programs.bundle.origin import Origin
from ner_programs.bundle.state import set_state, state_of
from ner_programs.demos import Demonstration, Pool
from ner_programs.demos.arrays import read as read_array
from ner_programs.demos.arrays import write as write_arrays
from ner_programs.errors import BundleError, ComponentError, LMSetupError
from ner_programs.privacy import Privacy
from ner_programs.program import NERProgram
from ner_programs.types import Mention

LAYOUT = 2
PARTS = {MANIFEST, "program.json", "state.json", "pool.jsonl", "fusion.json", "index", "kb"}


def save(
    program: NERProgram,
    folder: Path | str,
    *,
    kb: Literal["carry", "reference"] = "carry",
    kb_folder: Path | None = None,
    privacy: Privacy | None = None,
) -> Path:
    """Write `program` as a bundle. An existing bundle in `folder` is replaced atomically.

    `kb_folder` is a stored copy of the program's knowledge base, which is linked instead of written again. `kb="reference"`
    records only the fingerprint of the knowledge base. `privacy` is that of the text the program was made from (default:
    `program.privacy`): it says who can read the bundle. Raises BundleError if `folder` has anything but a bundle, for a verify
    stage that the spec does not name (it could not be built again), and for anything that could not be loaded again.
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
        about = {
            "layout": LAYOUT,
            "nerc": version("nerc"),
            "dspy": version("dspy"),
            "lm": program.wants,
            "private": (privacy := privacy or program.privacy).private,
            "kb": None if program.kb is None else {"fingerprint": program.kb.fingerprint, "carried": kb == "carry"},
            "spec": program.spec.model_dump(),
        }
        write(draft / "program.json", about)
        write(draft / "state.json", state_of(program))
        with (draft / "pool.jsonl").open("w", encoding="utf-8") as lines:
            stages = (getattr(program.verify, "verifier", None), program.attributes)
            needed = program.spec.demos or any(map(_learns, stages))
            lines.writelines(json.dumps(_row(d), ensure_ascii=False) + "\n" for d in program.pool if needed)
        write_fusion(program, draft)
        index = getattr(program.extract.select, "index", None)
        if isinstance(index, str) and index in program.pool.arrays:
            write_arrays({index: program.pool.arrays[index]}, draft / "index")
        if program.kb is not None and kb == "carry":
            _carry(program.kb, kb_folder, draft / "kb")
        write_manifest(draft)
        _contents(draft)
        draft.chmod(privacy.folder_mode & ~_umask())
        _replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    program.origin = Origin.of(program, Files(folder), carried=kb == "carry", reopen=reopened)
    return folder


def load(
    folder: Path | str, *, kb: KnowledgeBase | None = None, trust: Sequence[str] = (), lm: Any = None,
    privacy: Privacy | None = None,
) -> NERProgram:  # fmt: skip
    """Load a bundle. `kb` is a knowledge base that the bundle only refers to; `trust` lists other packages that it may import.

    `lm` is the program's LM, instead of DSPy's (`lm=open_lm("openai/x", api_base=...)`). `privacy` has the address of an API
    model that encodes demonstrations, and the hosts that text may go to. The bundle determines neither.

    Raises BundleError if the folder is not a valid bundle, names an address of its LM, lacks its knowledge base or has another
    one. Raises ComponentError for a component that does not exist or is not trusted.
    """
    trust = (trust,) if isinstance(trust, str) else trust
    program = _loaded(Path(folder), kb, trust, privacy)
    program.lm = lm
    return program


def reopened(folder: str, digest: str, kb: KnowledgeBase | None, privacy: Privacy) -> NERProgram:
    """Load the bundle of a pickled program. Raises BundleError unless `folder` holds the bundle with this `digest`.

    Its components are imported without asking: by its digest it is what the program was, whose components were allowed.
    A process that unpickles one program many times (`pool.map`) reads the bundle once.
    """
    program = deepcopy(_last_opened(folder, digest, kb))
    program.pool.privacy = privacy
    return program


@lru_cache(maxsize=1)
def _last_opened(folder: str, digest: str, kb: KnowledgeBase | None) -> NERProgram:
    return _loaded(Path(folder), kb, None, None, digest)


def _loaded(
    folder: Path, kb: KnowledgeBase | None, trust: Sequence[str] | None, privacy: Privacy | None, digest: str = ""
) -> NERProgram:
    about, files, state, pool = _contents(folder)
    if digest and files.digest != digest:
        raise BundleError(f"{folder}: it holds another program than the one that was pickled")
    try:
        pool.privacy = privacy or Privacy()  # building encodes nothing
        program = about.spec.build(_knowledge(files, about.kb, kb), pool, trust=trust)
        pool.privacy = privacy or Privacy(named_only=True)
        set_state(program, state)
        read_fusion(program, files)
    except BundleError as error:
        raise BundleError(f"{folder}: {error}") from None
    except (ComponentError, LMSetupError):
        raise
    except ValueError as error:  # an error of kb
        raise BundleError(f"{folder}: {_line(error)}") from error
    program.wants, program.privacy = about.lm.model_dump(exclude_unset=True), Privacy(about.private)
    program.origin = Origin.of(program, files, carried=about.kb is None or about.kb.carried, reopen=reopened)
    return program


def lacks(folder: Path) -> str | None:
    """Return the fingerprint of the knowledge base that a bundle needs but does not contain, else None."""
    known = _about(folder).kb
    return None if known is None or (known.carried and (folder / "kb").exists()) else known.fingerprint


def _row(d: Demonstration) -> dict[str, Any]:
    mentions = [
        {"text": m.text, "label": m.label, "start": m.start, "score": m.score}
        | ({"attributes": dict(m.attributes)} if m.attributes else {})
        for m in d.mentions
    ]
    return {**asdict(d), "mentions": mentions}


def _learns(stage: Any) -> bool:
    """Return whether a verifier, one inside it (`first`, `of`), or what finds attributes learns from the pool."""
    inside = (getattr(stage, name, None) for name in ("first", "of"))
    return stage is not None and (hasattr(stage, "pool") or any(map(_learns, inside)))


def _about(folder: Path) -> schema.ProgramFile:
    """Return the content of `program.json`, if it has this layout."""
    file = folder / "program.json"
    try:
        data = schema.plain(read(folder, "program.json"))
        layout = data.get("layout") if isinstance(data, dict) else None
        if isinstance(layout, int) and layout != LAYOUT:
            raise BundleError(f"{folder}: written by nerc {data.get('nerc')!s:.40} in layout {layout}, not {LAYOUT}")
        return schema.checked(schema.ProgramFile, data)
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(f"{file}: not a program that this version of nerc can build: {problem(error)}") from None


def _contents(folder: Path) -> tuple[schema.ProgramFile, Files, dict[str, Any], Pool]:
    """Return the content of a bundle without its knowledge base. Raises BundleError with the first invalid file."""
    about = _about(folder)
    files, labels = Files(folder), about.spec.labels
    files.content("program.json")
    if (about.kb is not None and about.kb.carried) != ("kb/kb.bin" in files.digests):
        raise BundleError(f"{folder / MANIFEST}: program.json says otherwise whether a knowledge base is carried")
    try:
        state = schema.plain(files.content("state.json"))
        schema.checked(schema.StateFile, {"predictors": state}, labels)
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(f"{folder / 'state.json'}: {problem(error)}") from None
    return about, files, state, _pool(files, labels)


def _knowledge(files: Files, wanted: schema.KnowledgeRef | None, given: KnowledgeBase | None) -> KnowledgeBase | None:
    if wanted is None:
        return None
    carried = files.knowledge() if given is None else None
    kb = open_kb(carried) if carried is not None else given
    if kb is None:
        raise BundleError(f"it does not carry its knowledge base {wanted.fingerprint}; give it with load(..., kb=)")
    if kb.fingerprint != wanted.fingerprint:
        raise BundleError(f"it was compiled with knowledge base {wanted.fingerprint}, not {kb.fingerprint}")
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


def _pool(files: Files, labels: Collection[str]) -> Pool:
    file, shown = files.folder / "pool.jsonl", list[Demonstration]()
    try:
        for line in files.content("pool.jsonl").splitlines():
            r = schema.checked(schema.PoolRow, schema.plain(line), labels)
            mentions = tuple(Mention(m.text, m.label, m.start, m.score, attributes=m.attributes) for m in r.mentions)
            shown.append(Demonstration(r.id, r.document, r.group, r.text, mentions))
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(f"{file}:{len(shown) + 1}: not a demonstration: {problem(error)}") from None
    arrays = {}
    for index in files.indexes():
        try:
            arrays[index.stem] = read_array(index, len(shown))
        except (OSError, ValueError) as error:
            raise BundleError(f"{index}: not the vectors of this pool") from error
    return Pool(shown, arrays)


def _line(error: Exception) -> str:
    """Return the message of an error, as one line."""
    return " ".join(str(error).split())


def _refuse_other(folder: Path) -> None:
    """Raise BundleError if `folder` is or has anything that is not part of a bundle."""
    if not folder.exists():
        return
    held = {file.name for file in folder.iterdir()} if folder.is_dir() else {folder.name}
    if not folder.is_dir() or held - PARTS or (held and "program.json" not in held):
        raise BundleError(f"{folder} exists and is not a bundle; it is left as it is")


def _replace(draft: Path, folder: Path) -> None:
    """Move `draft` to `folder`, replacing an old bundle. A folder that is not a bundle is not changed."""
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
