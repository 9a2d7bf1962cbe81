"""What all orders have in common."""

from pydantic import BaseModel, ConfigDict


class Order(BaseModel):
    """Something that shall go wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: int | None = 1
    """How often it happens; None until cleared."""


class State(Order):
    """How something is until the order is cleared, in place of something that happens."""

    times: int | None = None
