"""How single values of an answer are read: leniently where their meaning is clear.

Perl has one kind of scalar: a number may come as text, a truth as 1, "1" or "", a size with a fraction, and
null for what is not there. What has no clear meaning raises ValueError; `reading` then does without it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _as_whole(value: object) -> object:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            value = float(value)
    return int(value) if isinstance(value, float) else value


def _as_flag(value: object) -> object:
    return False if value == "" else value


def _as_moment(seconds: object) -> object:
    if isinstance(seconds, str):
        seconds = float(seconds)
    if not isinstance(seconds, int | float):
        return seconds
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("not a moment") from error


def _as_words(text: object) -> object:
    return (
        tuple(sorted(word for word in text.replace(";", ",").split(",") if word))
        if isinstance(text, str)
        else text
    )


Whole = Annotated[int, BeforeValidator(_as_whole), Field(ge=-(2**63), lt=2**63)]
"""A whole number; a fraction is cut off."""
Vmid = Annotated[Whole, Field(ge=1, le=999_999_999)]
"""What Proxmox takes for one."""
Flag = Annotated[bool, BeforeValidator(_as_flag)]
Moment = Annotated[AwareDatetime, BeforeValidator(_as_moment)]
"""Seconds since the epoch, as an aware datetime."""
Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]
"""A list that Proxmox writes with commas or semicolons; sorted."""


class Answer(BaseModel):
    """Anything Proxmox answered.

    A field without a default is essential: without it the answer says nothing. All others may be missing, or
    be null, which is the same.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            return {name: value for name, value in values.items() if value is not None}
        return values
