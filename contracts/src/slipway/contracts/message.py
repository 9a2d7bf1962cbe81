"""The base of every message: a subject, a shape, a kind.

Four kinds travel on the bus. A `Command` has one receiver and waits in a work queue. An `Event` has any
number of subscribers and is stored. A `Query` is answered at once and never stored.
A `State` is the last value of a thing, written by its owner only.

The subject is written once, on the class, with `{id}` where the id of the thing stands.
"""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,126}$")]
"""An id that is safe as one token of a subject and as one segment of a URL."""

Moment = AwareDatetime
"""A point in time with its offset; Slipway writes UTC."""


class Value(BaseModel):
    """A frozen part of a message; unknown fields are ignored, so that new senders suit old readers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(Value):
    """A message on a subject."""

    subject: ClassVar[str]

    @classmethod
    def subject_filter(cls) -> str:
        """Return the subject with `*` for the id: what a subscriber asks for."""
        return cls.subject.replace("{id}", "*")

    def subject_of(self) -> str:
        """Return the subject of this very message."""
        return self.subject.replace("{id}", str(getattr(self, "id", "")))


class Event(Message):
    """A fact: past tense, stored, for anyone."""


class Command(Message):
    """An order to one service; it waits in a work queue until it is done."""


class State(Message):
    """The last value of a thing, written by its owner with compare-and-set."""


ReplyT = TypeVar("ReplyT", bound=Value)


class Query(Message, Generic[ReplyT]):
    """A question, or a change asked by a person, answered by one replica of one service."""

    timeout: ClassVar[timedelta] = timedelta(seconds=5)
    """How long the asker waits; it becomes the absolute deadline in the header."""

    @classmethod
    def reply_type(cls) -> type[Value]:
        """Return the class of the answer, read from `Query[...]`."""
        for parent in cls.__mro__:
            arguments: tuple[Any, ...] = getattr(parent, "__pydantic_generic_metadata__", {}).get("args", ())
            if arguments:
                reply: type[Value] = arguments[0]
                return reply
        raise TypeError(f"{cls.__name__} does not say what answers it")


class Done(Value):
    """The answer of a change that has nothing to say but that it is done."""
