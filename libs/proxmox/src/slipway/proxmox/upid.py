"""The name of a Proxmox task.

`UPID:node:pid:pstart:starttime:type:id:user:` with hexadecimal numbers; the user may carry `!token` (PVE 9.2,
observed). A task is always asked for on the node in its UPID: any other one answers "no such task".
"""

import re
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_PATTERN = re.compile(
    r"^UPID:[^:\s]+:[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:[^:\s]+:[^:\s]*:[^:\s]+:$"
)
_ASKING_HA = frozenset({"hastart", "hastop", "hamigrate"})


class Upid(str):
    """A UPID whose parts can be read; it is the string itself."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check that the text is a UPID."""
        if not _PATTERN.match(text):
            raise ValueError(f"not a UPID: {text!r}")
        return super().__new__(cls, text)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return pydantic's schema: a text that is checked."""
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())

    @property
    def node(self) -> str:
        """The node that runs the task."""
        return self.split(":")[1]

    @property
    def starttime(self) -> datetime:
        """When it started, by the node's clock."""
        return datetime.fromtimestamp(int(self.split(":")[4], 16), tz=UTC)

    @property
    def type(self) -> str:
        """`vzcreate`, `vzstart`, ..."""
        return self.split(":")[5]

    @property
    def only_asks(self) -> bool:
        """Whether it only asks the HA manager: not its end, but the guest's state shows that it is done."""
        return self.type in _ASKING_HA

    @property
    def id(self) -> str:
        """What it is about: a VMID as text, or empty."""
        return self.split(":")[6]

    @property
    def user(self) -> str:
        """Who started it: `user@realm` or `user@realm!token`."""
        return self.split(":")[7]
