"""What can go wrong on purpose: faults that a test orders, in this process or over HTTP from another.

Theory of operation. An order stays until it was met as often as its `times` says (None: until cleared). The
node asks at the places where the real one breaks: before and after an API call, at the begin, in the middle
and at the end of a task, when a command runs over SSH. Guarantee: orders are met in the order they were
given, and one request or task meets at most one order of each kind. Nothing here breaks by itself.
"""

from slipway.lab.faults.calls import (
    ApiError,
    ChangedRows,
    ForeignRows,
    LostAnswer,
    RightsTaken,
    SlowAnswer,
    TokenExpired,
)
from slipway.lab.faults.guests import (
    AptLocked,
    CommandFails,
    DnsFails,
    NeverReady,
    NeverStops,
    SshDropped,
    SshRefused,
)
from slipway.lab.faults.nodes import (
    ApiFrozen,
    CertificateRenewed,
    ClockOff,
    NodeDies,
    NodeGone,
    NodeOffline,
    NodeRenamed,
    SshFrozen,
    StorageFull,
)
from slipway.lab.faults.standing import FAULT, Fault, Faults
from slipway.lab.faults.tasks import (
    ForeignTask,
    HaManaged,
    Locked,
    Point,
    TaskFails,
    TaskHangs,
    VmidTaken,
    WorkerKilled,
)

__all__ = [
    "FAULT",
    "ApiError",
    "ApiFrozen",
    "AptLocked",
    "CertificateRenewed",
    "ChangedRows",
    "ClockOff",
    "CommandFails",
    "DnsFails",
    "Fault",
    "Faults",
    "ForeignRows",
    "ForeignTask",
    "HaManaged",
    "Locked",
    "LostAnswer",
    "NeverReady",
    "NeverStops",
    "NodeDies",
    "NodeGone",
    "NodeOffline",
    "NodeRenamed",
    "Point",
    "RightsTaken",
    "SlowAnswer",
    "SshDropped",
    "SshFrozen",
    "SshRefused",
    "StorageFull",
    "TaskFails",
    "TaskHangs",
    "TokenExpired",
    "VmidTaken",
    "WorkerKilled",
]
