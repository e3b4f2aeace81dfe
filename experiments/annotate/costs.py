"""What the calls of an annotation cost, over all its starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.errors import SpecError
from ner_programs.lms.ledger import Ledger

UNKNOWN = "?"


class Costs(Ledger):
    """A file with the cost of each answer that was paid for, in US dollars; `before` is what earlier starts cost.

    Where costs are not `counted` (an LM has no price, or several processes ask it) the file says that there were some.
    """

    def __init__(self, path: Path, counted: bool) -> None:
        super().__init__()
        self.counted, self.before, self.now, self.unknown = counted, 0.0, 0.0, False
        path.touch(0o600)
        self._paid = path.open("r+", encoding="utf-8")
        for line in self._paid:
            if line.rstrip() == UNKNOWN:
                self.unknown = True
            elif line.endswith("\n"):  # else its process was killed
                self.before += float(line)

    def check(self, most: float | None, out: Path) -> None:
        """Raise SpecError where a limit for the whole annotation cannot hold."""
        if most is not None and self.unknown:
            raise SpecError(
                f"{out}: an earlier start made calls whose cost is not known (the LM had no price, or several processes asked "
                "it), so --max-cost cannot hold for the whole: leave it out"
            )

    def uncounted(self) -> None:
        """Note that there are calls whose cost is not known."""
        if not self.unknown:
            self.unknown = True
            self._write(UNKNOWN)

    def write(self, event: str, key: str, **details: Any) -> None:
        """Note what an answer cost; it is in the file when the call returns."""
        if event != "answered":
            return
        with self._lock:
            if not self.counted:
                self.uncounted()
            elif cost := float(details["cost"]):
                self.now += cost
                self._write(repr(cost))

    def close(self) -> None:
        """Close the file."""
        self._paid.close()

    def told(self) -> str:
        """Return what all starts together cost, for people; "" if nothing is known to have cost anything."""
        if not (whole := self.before + self.now):
            return ""
        earlier = f", {self.before:.4f} of it at earlier starts" if self.before else ""
        return f"cost: {'at least ' if self.unknown else ''}{whole:.4f} US dollars{earlier}"

    def _write(self, line: str) -> None:
        self._paid.write(f"{line}\n")
        self._paid.flush()
