"""What a step stores for a later owner of its run: small typed models, written as a map of strings.

One step may store facts of several topics (its task, its lock): each topic has a model of its own, and reads
only its own fields. An empty string means that there is none: that is how a fact is taken back.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

Texts = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: value.split() if isinstance(value, str) else value)
]
"""Some words without spaces."""


class StepFacts(BaseModel):
    """Facts of one topic. Fields have defaults: an older build may have stored fewer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, stored: Mapping[str, str]) -> Self:
        """Read the facts of this topic from a step's."""
        return cls.model_validate({name: text for name, text in stored.items() if text})

    def stored(self) -> Mapping[str, str]:
        """Return the fields that were set, as text."""
        return {name: _text(getattr(self, name)) for name in sorted(self.model_fields_set)}


def _text(value: object) -> str:
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case datetime():
            return value.isoformat()
        case tuple():
            return " ".join(value)
        case _:
            return str(value)
