"""What a stage's adapter has rendered once: instructions, demonstrations and settings, of which prompts are put together.

Nothing is rendered in another way than by the adapter itself (`system`, `turn`, its codec), so a
prompt has the same bytes as the one that DSPy would have it make. A demonstration is rendered anew as soon as any of its fields
differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dspy
from dspy.lm15 import Config, request_from_openai_chat

from ner_programs.lms.call import Rendered, Settings, Turn

if TYPE_CHECKING:
    from ner_programs.prompts.adapter import StageAdapter

DEMONSTRATIONS = 1 << 14
"""So many rendered demonstrations are kept, then all are dropped; likewise `FEW` instructions and settings."""
FEW = 1 << 10


@dataclass(frozen=True, slots=True)
class Layout:
    """What a signature means for a prompt."""

    inputs: tuple[str, ...]
    output: str
    system: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """A demonstration, its fields when it was rendered, and its two turns; none if it has no answer."""

    demo: Any
    fields: Mapping[str, Any]
    layout: tuple[str, ...]
    turns: tuple[Turn, ...]


class Rendering:
    """Puts prompts together for one adapter."""

    def __init__(self, adapter: StageAdapter) -> None:
        self.adapter = adapter
        self._layouts: dict[tuple[Any, Any], Layout | None] = {}
        self._shown: dict[int, _Shown] = {}
        self._settings: dict[tuple[Any, ...], Settings] = {}

    def layout(self, signature: type[dspy.Signature]) -> Layout | None:
        """Return the layout of a signature; None unless it has one output."""
        key = signature, signature.__doc__  # an instruction may be changed in place
        if key not in self._layouts:
            inputs, outputs = tuple(signature.input_fields), tuple(signature.output_fields)
            one = len(outputs) == 1
            _room(self._layouts, FEW)[key] = Layout(inputs, outputs[0], self.adapter.system(signature)) if one else None
        return self._layouts[key]

    def prompt(
        self, lm: Any, layout: Layout, config: Mapping[str, Any], demos: Iterable[Any], inputs: Mapping[str, Any]
    ) -> tuple[Rendered, Any]:  # fmt: skip
        """Return the prompt, and its rollout."""
        asked = self.adapter.settings(lm, config, inputs)
        form, rollout = asked.pop("form", None), asked.pop("rollout_id", lm.kwargs.get("rollout_id"))
        settings = self._set(lm, asked)
        if form:
            with_form = replace(settings.config, extensions={**(settings.config.extensions or {}), **form})
            settings = Settings.of(with_form)
        shown = [turn for demo in demos for turn in self._turns(layout, demo)]
        last = Turn.of("user", self.adapter.turn(layout.inputs, inputs))
        return Rendered(lm.model, layout.system, tuple(shown), last, settings), rollout

    def _turns(self, layout: Layout, demo: Any) -> tuple[Turn, ...]:
        given = getattr(demo, "_store", demo)  # of a dspy.Example, which is slow to read
        known = self._shown.get(id(demo))
        names = (*layout.inputs, layout.output)
        if known is None or known.demo is not demo or known.layout != names or known.fields != given:
            known = _Shown(demo, deepcopy(given), names, self._rendered(layout, demo))
            _room(self._shown, DEMONSTRATIONS)[id(demo)] = known
        return known.turns

    def _rendered(self, layout: Layout, demo: Any) -> tuple[Turn, ...]:
        if demo.get(layout.output) is None:
            return ()
        asked, answer = self.adapter.turn(layout.inputs, demo), self.adapter.codec.encode(demo)
        return Turn.of("user", asked), Turn.of("assistant", answer)

    def _set(self, lm: Any, asked: Mapping[str, Any]) -> Settings:
        """Return settings as DSPy's client reads them; a schema is the adapter's own, always the same."""
        given = {**lm.kwargs, **asked}
        given.pop("rollout_id", None)
        key = (lm.model, *((k, v if k != "response_format" else True) for k, v in given.items()))
        if key not in self._settings:
            body = {k: v for k, v in given.items() if v is not None}
            made: Config = request_from_openai_chat(
                {"model": lm.model, "messages": [{"role": "user", "content": "-"}], **body}
            ).config
            _room(self._settings, FEW)[key] = Settings.of(made)
        return self._settings[key]


def _room(kept: dict[Any, Any], most: int) -> dict[Any, Any]:
    """Return what is kept, emptied if it is full."""
    if len(kept) >= most:
        kept.clear()
    return kept
