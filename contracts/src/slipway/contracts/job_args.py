"""A kind of job and its arguments in a message: the arguments are read as the model of the kind beside them.

An older build sent the arguments of all kinds, with nulls; such a message is read like one of today.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import model_validator

from slipway.contracts.job_kinds import KINDS, AnyArgs, Args, JobKind, KindSpec, NoArgs
from slipway.contracts.message import Value

ArgsT = TypeVar("ArgsT", bound=Args)


class KindAndArgs(Value):
    """A kind of job with its arguments, in a message or a row."""

    kind: JobKind
    args: AnyArgs = NoArgs()

    @model_validator(mode="before")
    @classmethod
    def _read_args(cls, message: Any) -> Any:
        """Read the arguments as the model of the kind beside them: of a batch, of its items' kind."""
        if not isinstance(message, Mapping):
            return message
        kind = message.get("items_kind") or message.get("kind")
        if kind not in set(JobKind):
            return message
        return {**message, "args": read_args(KINDS[JobKind(kind)], message.get("args"))}

    def args_as(self, model: type[ArgsT]) -> ArgsT:
        """Return the arguments as a model of its kind; any other model is a bug."""
        if not isinstance(self.args, model):
            raise TypeError(f"{self.kind} has {type(self.args).__name__}, not {model.__name__}")
        return self.args


def read_args(spec: KindSpec, args: object) -> AnyArgs:
    """Return arguments as the model of their kind; nulls are left out, what other kinds take is ignored."""
    if isinstance(args, spec.args):
        return args
    if args is not None and not isinstance(args, Mapping | Args):
        return spec.args.model_validate(args)
    values = dict(args or {})
    return spec.args.model_validate({name: value for name, value in values.items() if value is not None})
