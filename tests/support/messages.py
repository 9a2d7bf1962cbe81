"""Messages that tests of the runtime speak; on real subjects, so that streams and permissions apply."""

from datetime import timedelta
from typing import ClassVar

from slipway.contracts.message import Command, Done, Event, Query, State, Value


class Echoed(Value):
    """The answer to `Echo`."""

    text: str
    actor: str = ""


class Echo(Query[Echoed]):
    """Send it back."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.test.echo"
    timeout: ClassVar[timedelta] = timedelta(seconds=2)
    text: str


class Change(Query[Done]):
    """Change something."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.test.change"
    text: str = ""


class Run(Command):
    """Run a job."""

    subject: ClassVar[str] = "slipway.v1.command.provisioner.job.run"
    id: str


class Phase(Event):
    """A job's phase."""

    subject: ClassVar[str] = "slipway.v1.event.job.{id}.phase"
    id: str
    text: str = ""


class Log(Event):
    """Lines of a job."""

    subject: ClassVar[str] = "slipway.v1.event.job.{id}.log"
    id: str
    text: str = ""


class Record(State):
    """A job's record."""

    subject: ClassVar[str] = "slipway.v1.state.job.{id}"
    id: str
    commit: str = ""
    step: int = 0


class Appeared(Event):
    """A guest was seen."""

    subject: ClassVar[str] = "slipway.v1.event.guest.{id}.appeared"
    id: str
    text: str = ""


class Vanished(Event):
    """A guest is gone."""

    subject: ClassVar[str] = "slipway.v1.event.guest.{id}.vanished"
    id: str
