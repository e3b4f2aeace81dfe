"""A real language model in this process: SmolLM2, where the extra `nerc[local]` and its weights are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dspy.lm15 import Config, Message, Request

from ner_programs import Label, align
from ner_programs.components import names, resolve
from ner_programs.errors import LMSetupError
from ner_programs.lms import local, open_backend
from ner_programs.lms.metered import Meter
from tests.lab import real_model

LABELS = (Label("problem", "A complaint or a disease."), Label("drug", "A medicine."))
TEXT = 'Says "no" to α-blockers [1]; knee pain & fever | asks for relief.'


def gguf(*parts: bytes) -> bytes:
    return b"GGUF" + b"\0" * 20 + b"".join(parts)


@pytest.mark.parametrize(
    ("model", "said"),
    [("missing.gguf", "there is no such file"), ("weights.bin", r"a path that ends in .gguf, or one of: smollm2")],
)
def test_a_model_that_is_not_there_is_named(tmp_path: Path, model: str, said: str) -> None:
    with pytest.raises(LMSetupError, match=said):
        open_backend({"model": f"local/{tmp_path / model}"})


def test_the_name_is_about_the_weights(tmp_path: Path) -> None:
    one, other = tmp_path / "a.gguf", tmp_path / "b.gguf"
    one.write_bytes(gguf(b"x" * 5_000_000, b"1"))
    other.write_bytes(gguf(b"x" * 5_000_000, b"2"))
    assert local.digest(one) != local.digest(other)
    assert open_backend({"model": f"local/{one}"}).model == f"local/a-{local.digest(one)}"


def test_a_header_says_how_long_a_prompt_may_be_and_whether_the_model_chats(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(gguf(b"llama.context_length\x04\0\0\0\x00\x20\0\0", b"tokenizer.chat_template"))
    assert local.about(file) == (True, 8192)
    file.write_bytes(gguf(b"llama.context_length\x04\0\0\0\x00\x08\0\0"))
    assert local.about(file) == (False, 2048)
    file.write_bytes(b"PK..")
    with pytest.raises(LMSetupError, match="not a GGUF file"):
        local.about(file)


@pytest.mark.parametrize(("template", "thinks"), [(b"{{ messages }}", False), (b"{{ messages }}<think>", True)])
def test_a_chat_template_says_whether_the_model_thinks_before_it_answers(
    tmp_path: Path, template: bytes, thinks: bool
) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(gguf(b"I think", b"tokenizer.chat_template", template))
    assert local.thinks(file) is thinks
    assert (open_backend({"model": f"local/{file}"}).max_answer == 0) is thinks


@pytest.fixture(scope="module")
def smollm2() -> Any:
    backend = open_backend({"model": "local/smollm2", "context": 1024, "threads": 1})
    yield backend
    backend.close()  # type: ignore[attr-defined]


def ask(backend: Any, system: str, text: str, **config: Any) -> Any:
    return backend.complete(
        Request(model=backend.model, system=system, messages=(Message.user(text),), config=Config(**config))
    )


@real_model
@pytest.mark.parametrize("name", names("ner_programs.formats"))
def test_a_constrained_answer_is_readable_and_lies_in_the_text(smollm2: Any, name: str) -> None:
    form = resolve("ner_programs.formats", {"name": name}, labels=LABELS)
    pushed = [[opening, 4.0] for opening in (" [", "[", "<", " <", ' {"')]
    extensions = {"grammar": form.grammar(TEXT), "logit_bias": pushed}
    said = ask(smollm2, form.describe(), TEXT, max_tokens=300, extensions=extensions).message.text
    reading = form.read(said)
    assert reading.unreadable == 0
    assert all(mention.text in TEXT for mention in reading)
    assert len(align(TEXT, reading)) >= bool(reading)


@real_model
def test_the_same_prompt_has_the_same_answer_and_its_prefix_is_kept(smollm2: Any) -> None:
    said = [ask(smollm2, "Repeat.", "knee pain " * 20, max_tokens=8) for _ in range(2)]
    assert said[0].message.text == said[1].message.text
    assert said[1].usage.cache_read_tokens > 0.9 * said[1].usage.input_tokens


@real_model
def test_an_answer_does_not_depend_on_what_was_asked_before(smollm2: Any) -> None:
    """What is read from the cache is what would be evaluated, to the last digit."""
    own, other = ("the same beginning " * 8 + text for text in ("knee pain", "and another end, for a week"))
    said = [ask(smollm2, "Repeat.", text, max_tokens=4, logprobs=1) for text in ("fresh", own, own, other, own)]
    cached = [answer.usage.cache_read_tokens for answer in said]
    assert cached[1] < cached[4] < cached[2]
    first, again, _, behind = ([token.logprob for token in answer.logprobs] for answer in said[1:])
    assert first == again == behind


@real_model
def test_what_a_prompt_has_in_common_with_the_one_before_is_counted_as_cached(smollm2: Any) -> None:
    meter = Meter(smollm2)
    shared = "Mark every mention of a complaint or a disease in the text. " * 4
    for text in ("Knee pain since May.", "No fever."):
        asked = Message.user(text)
        meter.complete(Request(model=smollm2.model, system=shared, messages=(asked,), config=Config(max_tokens=4)))
    spent = meter.spent
    assert spent.tokens_in / 4 < spent.tokens_cached < spent.tokens_in / 2 + 8


@real_model
def test_a_longer_prompt_loads_the_model_with_more_room_and_one_too_long_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "ner_programs.lms")
    backend = open_backend({"model": "local/smollm2", "threads": 1})
    backend._context = 256  # type: ignore[attr-defined]
    assert ask(backend, "Repeat.", "pain " * 300, max_tokens=1).usage.input_tokens > 300
    loads = [line for line in caplog.messages if line.startswith("loading SmolLM2-135M-Instruct")]
    assert len(loads) == 2 and "room for 256 tokens" in loads[0] and "room for 512 tokens" in loads[1]
    short = open_backend({"model": "local/smollm2", "context": 256, "threads": 1})
    with pytest.raises(LMSetupError, match=r"longer than 256 tokens; raise lm.context"):
        ask(short, "Repeat.", "pain " * 300, max_tokens=1)


@real_model
def test_a_llama_cpp_server_reached_like_any_other_answers_the_same(
    smollm2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = resolve("ner_programs.formats", {"name": "tanl"}, labels=LABELS)
    said = {"max_tokens": 120, "extensions": {"grammar": form.grammar(TEXT), "logit_bias": [[" [", 3.0]]}}
    answer = ask(smollm2, form.describe(), TEXT, **said).message.text
    server = smollm2._running
    monkeypatch.setenv("OPENAI_API_KEY", server.key)
    can = ["grammar", "logit_bias", "logprobs"]
    other = open_backend({"model": "openai/any", "api_base": server.address, "can": can})
    assert ask(other, form.describe(), TEXT, temperature=0.0, **said).message.text == answer
