"""One training that is tried: a value of some settings, and a seed."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

WORD = re.compile(r"[A-Za-z0-9_]+")


def scalar(value: Any) -> Any:
    """Return a value that fits into a file's name.

    Raises:
        ValueError: it does not; pydantic turns it into a message.
    """
    named = value is None or (isinstance(value, str) and WORD.fullmatch(value))
    if named or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    raise ValueError("expected a number, a word, true, false or null")


def text(value: Any) -> str:
    """Return a setting's value as params.yaml has it; 0.00001 and not 1e-05."""
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}"
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Cell:
    """One training.

    Args:
        values: {setting: value}; empty for the model as params.yaml has it.
        seed: of the training alone.
        model: a model's section; empty where the folder of the file says which.
    """

    values: dict[str, Any]
    seed: int
    model: str = ""

    @property
    def name(self) -> str:
        """The cell as a file's name, whatever the order in which the values are written."""
        pairs = [*sorted(self.values.items()), ("seed", self.seed)]
        parts = [f"{key}-{text(value)}" for key, value in pairs]
        return "__".join([self.model, *parts] if self.model else parts)
