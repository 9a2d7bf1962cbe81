"""The filters of lists; an unknown parameter, or an invalid value, is refused.

A mistyped filter that is ignored would list everything; one of several values that replaces the others, more
than was meant.
"""

from collections import Counter
from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field

from slipway.contracts.bulk import LONGEST_SELECTION
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id
from slipway.contracts.values import ContainerSort, ContainerView, JobState, Lifecycle, Power


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=256)

    @classmethod
    def takes_several(cls, name: str) -> bool:
        """Whether a parameter may be given several times."""
        field = cls.model_fields.get(name)
        return field is not None and field.default_factory is list


class ContainerFilters(_Asked):
    """The query of `GET /api/v1/containers`; of a filter that is given several times, any may match."""

    q: str | None = Field(
        default=None,
        max_length=LONGEST_SELECTION,
        description="A search like `tag:web node:pve1 status:running shop`; all filters hold beside it",
    )
    cluster: str | None = Field(default=None, max_length=127, description="Its name or id")
    node: str | None = Field(default=None, max_length=127)
    template: str | None = Field(default=None, max_length=127)
    tag: str | None = Field(default=None, max_length=1024, description="One of its tags, whole")
    lifecycle: list[Lifecycle] = Field(default_factory=list)
    power: list[Power] = Field(default_factory=list)
    sort: ContainerSort = ContainerSort.CREATED
    view: ContainerView = Field(
        default=ContainerView.FULL,
        description="`summary` leaves `spec`, `pending` and `credentials` out of each item",
    )


class JobFilters(_Asked):
    """The query of `GET /api/v1/jobs`; of a filter that is given several times, any may match."""

    container: Id | None = None
    parent: Id | None = Field(default=None, description="Only the jobs of this batch")
    state: list[JobState] = Field(default_factory=list)
    kind: list[JobKind] = Field(default_factory=list)


def given_once(filters: type[_Asked]) -> Any:
    """Return the check that a filter that takes one value has no second one."""

    async def check(request: Request) -> None:
        names = [name for name, _ in request.query_params.multi_items() if not filters.takes_several(name)]
        several = [
            name for name, times in Counter(names).items() if times > 1 and name in filters.model_fields
        ]
        message = "It is given several times and takes one value."
        if several:
            raise RequestValidationError(
                [{"type": "value_error", "loc": ("query", name), "msg": message} for name in several]
            )

    return Depends(check)
