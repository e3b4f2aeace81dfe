"""The embedding selector: encoded once, kept in cache and bundle, private text kept here, and errors a user can mend."""

import asyncio
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pytest

from ner_programs import BundleError, ComponentError, Pool, ProgramSpec
from ner_programs.bundle import folder as bundle
from ner_programs.bundle.files import write_manifest
from ner_programs.components import resolve
from ner_programs.demos._encoders import PRESETS, is_hosted
from ner_programs.privacy import Privacy, PrivacyError
from tests.ner_programs.support import NOTES, PLAIN, knows

TEXT = "Fever since yesterday, no cough."
SPEC = ProgramSpec(labels=PLAIN, demos={"name": "embedding", "model": "stub", "k": 3})


def build(pool: Pool, **options: Any) -> Any:
    return resolve("ner_programs.demos", {"name": "embedding", "model": "stub", **options}, pool=pool)


def test_the_pool_is_encoded_once_for_all_programs_threads_and_settings(encoder: Any) -> None:
    pool = Pool.of(NOTES)
    assert not encoder.opened, "nothing is loaded before a text is asked for"
    selects = [build(pool), build(pool, k=2), SPEC.build(pool=pool).with_settings(demos={"k": 5}).extract.select]
    with ThreadPoolExecutor(8) as threads:
        chosen = list(threads.map(lambda n: [d.id for d in selects[n % 3](TEXT)], range(24)))
    assert chosen[0] == chosen[3]
    assert len(encoder.opened) == 1
    assert [encoder.texts[d.text] for d in pool] == [1] * len(pool)
    before = encoder.texts[TEXT]
    selects[0](TEXT)
    assert encoder.texts[TEXT] == before, "vectors of texts asked for are remembered"


def test_a_part_of_the_pool_takes_its_vectors_from_the_whole(encoder: Any, tmp_path: Path) -> None:
    program = SPEC.build(pool=Pool.of(NOTES))
    nearest = [d["id"] for d in program.extract.demos(TEXT)]
    encoder.texts.clear()
    part = program.with_pool(program.pool.without(nearest[-1:]))
    shown = [d["id"] for d in part.extract.demos(TEXT)]
    assert shown[-2:] == nearest[-3:-1] and not encoder.texts, "nothing is encoded again"
    again = bundle.load(bundle.save(part, tmp_path / "bundle"))
    assert [d["id"] for d in again.extract.demos(TEXT)] == shown and set(encoder.texts) == {TEXT}


def test_vectors_are_compared_by_their_direction(encoder: Any) -> None:
    select = build(Pool.of(NOTES), k=20)
    scores = select.scores(TEXT, ())
    assert scores.dtype == np.float32
    assert float(scores.max()) <= 1.00001
    words = [set(d.text.lower().split()) for d in select.pool]
    assert words[int(np.argmax(scores))] & set(TEXT.lower().split())
    assert np.allclose(np.linalg.norm(select.pool.arrays[select.index], axis=1), 1, atol=1e-5)


def test_vectors_are_kept_in_the_cache_for_the_owner_alone(encoder: Any, tmp_path: Path) -> None:
    def asked() -> list[str]:
        pool = Pool.of(NOTES)
        pool.cache = tmp_path / "corpus" / "embeddings"
        return [d.id for d in build(pool)(TEXT)]

    first = asked()
    (file,) = (tmp_path / "corpus" / "embeddings").iterdir()
    assert file.parent.stat().st_mode & 0o777 == 0o700
    encoder.texts.clear()
    assert asked() == first
    assert set(encoder.texts) == {TEXT}, "only the query was encoded"
    for damage in (b"", b"no array", file.read_bytes()[:-9]):
        file.write_bytes(damage)
        assert asked() == first
        assert np.load(file).shape[0] == len(Pool.of(NOTES)), "it is made again"


def test_other_texts_models_and_poolings_have_other_vectors(tmp_path: Path) -> None:
    pool, model = Pool.of(NOTES), tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    indexes = {
        build(p, **o).index for p in (pool, Pool.of(NOTES[1:])) for o in ({}, {"model": "mpnet"}, {"pooling": "cls"})
    }
    assert len(indexes) == 6
    here = build(pool, model=str(model)).index
    moved = model.rename(tmp_path / "elsewhere")
    assert build(pool, model=str(moved)).index == here, "a folder may be moved"
    (moved / "config.json").write_text('{"layers": 2}')
    assert build(Pool.of(NOTES), model=str(moved)).index != here


def test_a_bundle_brings_the_vectors(encoder: Any, tmp_path: Path) -> None:
    program = SPEC.build(pool=Pool.of(NOTES))
    chosen = program.extract.demos(TEXT)
    folder = bundle.save(program.with_settings(unit="document"), tmp_path / "bundle")
    encoder.texts.clear()
    loaded = bundle.load(folder)
    assert loaded.extract.demos(TEXT) == chosen
    assert set(encoder.texts) == {TEXT}
    assert bundle.load(bundle.save(loaded, folder)).extract.demos(TEXT) == chosen
    with dspy.context(lm=(lm := knows({"Fever": "problem"}, SPEC))):
        assert [e.text for e in asyncio.run(loaded.acall(text=TEXT)).entities] == ["Fever"]
    assert len(lm.prompts[0].shown) == 3
    other = bundle.save(program.with_settings(demos={"name": "tfidf", "k": 3}), tmp_path / "other")
    assert not (other / "index").exists()


@pytest.mark.parametrize(
    "damage", [b"", b"\x80\x04N.", b"\x93NUMPY\x01\x00\x04\x00{(((", "rows", "nan", "object", "several"]
)
def test_damaged_vectors_in_a_bundle_are_an_error(damage: Any, tmp_path: Path) -> None:
    program = SPEC.build(pool=Pool.of(NOTES))
    program.extract.demos(TEXT)
    (file,) = (bundle.save(program, tmp_path / "bundle") / "index").iterdir()
    arrays = {
        "rows": np.zeros((2, 64), np.float32),
        "nan": np.full(np.load(file).shape, np.nan, np.float32),
        "object": np.array([["a"]] * len(program.pool), object),
    }
    if isinstance(damage, bytes):
        file.write_bytes(damage)
    elif damage == "several":
        np.savez(tmp_path / "several.npz", arrays["nan"])
        (tmp_path / "several.npz").replace(file)
    else:
        np.save(file, arrays[damage], allow_pickle=True)
    (tmp_path / "bundle" / "manifest.json").unlink()
    write_manifest(tmp_path / "bundle")
    with pytest.raises(BundleError, match="not the vectors of this pool"):
        bundle.load(tmp_path / "bundle")


def test_a_missing_extra_is_named_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sentence_transformers")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "ner_programs.demos._encoders.find_spec", lambda name: None if name == "sentence_transformers" else found(name)
    )
    with pytest.raises(ComponentError, match=r"pip install nerc\[encoders\]"):
        build(Pool.of(NOTES))
    build(Pool.of(NOTES), model="openai/text-embedding-3-small")  # needs no extra


def test_what_cannot_be_had_is_said_without_the_text() -> None:
    with pytest.raises(ComponentError, match="not/there cannot encode: not/there is"):
        build(Pool.of(NOTES), model="not/there")(TEXT)
    with pytest.raises(ComponentError, match="biolm is on no"):
        build(Pool.of(NOTES), model="biolm")
    with pytest.raises(ComponentError, match="leave pooling out"):
        build(Pool.of(NOTES), model="openai/text-embedding-3-small", pooling="cls")
    with pytest.raises(ComponentError, match="'model'"):
        resolve("ner_programs.demos", {"name": "embedding"}, pool=Pool.of(NOTES))
    with pytest.raises(ComponentError, match="pooling"):
        build(Pool.of(NOTES), pooling="max")


def test_an_error_of_an_encoder_holds_no_text(encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"cannot read {NOTES[0].text}")

    monkeypatch.setattr(encoder, "encode", fails)
    with pytest.raises(ComponentError, match=r"stub cannot encode: RuntimeError$") as caught:
        build(Pool.of(NOTES))(TEXT)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_odd_texts_are_encoded(encoder: Any) -> None:
    select = build(Pool.of(NOTES))
    assert len(select("")) == len(select("\ud800 \x00")) == 8
    assert {"", "\ud800 \x00"}.isdisjoint(encoder.texts)


# Behind an API


class FakeEmbedder:
    """What DSPy's Embedder is asked."""

    made: list[tuple[str, dict[str, Any]]]
    asked: list[list[str]]

    def __init__(self, model: str, **options: Any) -> None:
        self.made.append((model, options))

    def __call__(self, texts: list[str]) -> Any:
        self.asked.append(texts)
        return [[float(len(t)), 1.0] for t in texts]


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> Any:
    fake = type("Fake", (FakeEmbedder,), {"made": [], "asked": []})
    monkeypatch.setattr(dspy, "Embedder", fake)
    return fake


def test_a_provider_before_the_slash_means_an_api(embedder: Any, tmp_path: Path) -> None:
    pool = Pool.of(NOTES)
    pool.privacy = Privacy(encoder="http://127.0.0.1:9/v1")
    select = build(pool, model="hosted_vllm/e5", k=2)
    assert len(select(TEXT)) == 2
    for model, options in embedder.made:
        assert (model, options["api_base"], options["caching"]) == ("hosted_vllm/e5", "http://127.0.0.1:9/v1", False)
    assert embedder.asked == [[d.text for d in select.pool], [TEXT]]
    assert is_hosted("openai/text-embedding-3-small")
    assert not any(is_hosted(name) for name, _ in PRESETS.values())
    (tmp_path / "openai" / "mine").mkdir(parents=True)
    assert not is_hosted(str(tmp_path / "openai" / "mine"))


def test_private_text_goes_to_no_host_that_is_not_named(embedder: Any) -> None:
    pool = Pool.of(NOTES)
    hosts = ("localhost", "llm.hospital.example")
    pool.privacy = Privacy(True, hosts)
    with pytest.raises(PrivacyError, match=r"\(openai/text-embedding-3-small\) has no lm\.encoder\.api_base"):
        build(pool, model="openai/text-embedding-3-small")
    program = ProgramSpec(labels=PLAIN, demos={"name": "random"}).build(pool=pool)
    with pytest.raises(PrivacyError, match="is private"):
        program.with_settings(demos={"name": "embedding", "model": "openai/x"})
    pool.privacy = Privacy(True, hosts, "https://llm.example/v1")
    for part in (pool, pool.without([pool[0].id])):
        with pytest.raises(PrivacyError, match=r"sent to llm\.example:"):
            build(part, model="openai/x")
    assert not embedder.asked
    pool.privacy = Privacy(True, hosts, "https://LLM.hospital.example/v1")
    asked = build(pool, model="openai/x")
    assert asked(TEXT)
    pool.privacy = Privacy(True)
    with pytest.raises(PrivacyError, match="is private"):
        asked("Another text.")


@pytest.mark.parametrize(
    ("set_to", "private", "local_only"),
    [("1", False, True), ("0", False, False), (None, False, False), ("0", True, True)],
)
def test_private_text_loads_no_model_from_the_hub(
    set_to: str | None, private: bool, local_only: bool, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if set_to is not None:
        monkeypatch.setenv("HF_HUB_OFFLINE", set_to)
    pool = Pool.of(NOTES)
    pool.privacy = Privacy(private)
    build(pool, model="some/encoder")(TEXT)
    assert encoder.opened == [("some/encoder", local_only)]
