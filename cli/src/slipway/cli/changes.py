"""The verbs that change a container that exists: one for each kind of job, with its arguments as options.

All of it derives from `slipway.contracts.job_kinds`: an argument without a default is positional, the others
are options; the help texts are the docstrings there.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from inspect import Parameter, Signature
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from typer.main import get_group

from slipway.cli.confirmation import is_confirmed
from slipway.cli.errors import WrongInput
from slipway.cli.lookup import ContainerArgument, container_id
from slipway.cli.plans import print_plan
from slipway.cli.session import ConfirmSelfOption, FollowOption, PlanOption, Session, YesOption, command
from slipway.client.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One argument of a job, as a verb takes it."""

    name: str
    read: Callable[[str], object]
    text: str
    is_positional: bool


async def perform(
    session: Session,
    client: Transport,
    request: Callable[..., Awaitable[Mapping[str, Any]]],
    *,
    loses: str | None,
    plan: bool,
    yes: bool,
    follow: bool,
) -> int:
    """Plan a change; or request it, once it is confirmed if it destroys, and follow its job.

    `request` sends the change; with `plan="true"` it returns the plan. `loses` says what to ask about if
    something is destroyed, and `yes` whether the question is answered already.
    """
    if plan:
        return print_plan(session, await request(plan="true"))
    if loses and not await is_confirmed(loses, yes=yes, plan=partial(request, plan="true")):
        return 1
    return await session.finish(client, await request(), follow=follow)


@cache
def commands() -> Mapping[str, Any]:
    """Build a command for each kind of job that is requested as a verb."""
    # Only the verbs need the registry, and pydantic with it.
    from slipway.contracts.job_kinds import INTERRUPTING, REQUESTED

    app = typer.Typer(rich_markup_mode=None)
    for verb, spec in REQUESTED.items():
        _add(app, verb, spec.summary, loses=spec.loss is not None, interrupts=spec.kind in INTERRUPTING)
    return MappingProxyType(get_group(app).commands)


def options_of(verb: str) -> Mapping[str, Option]:
    """Return the arguments of a kind of job by name; none for an unknown verb, which the API refuses."""
    from slipway.contracts.job_kinds import REQUESTED

    if verb not in REQUESTED:
        return {}
    return {
        name: Option(
            name=name,
            read=_reader(each.annotation),
            text=each.description or "",
            is_positional=each.is_required(),
        )
        for name, each in REQUESTED[verb].args.model_fields.items()
    }


def read_argument(option: Option, value: str) -> object:
    """Read the value of an argument as its job takes it."""
    try:
        return option.read(value)
    except ValueError as error:
        reason = f"{value!r} is not a number" if option.read in {int, float} else str(error)
        raise WrongInput(f"{option.name}: {reason}") from error


def _add(app: typer.Typer, verb: str, summary: str, *, loses: bool, interrupts: bool) -> None:
    async def change(
        session: Session,
        *,
        container: str,
        plan: bool,
        follow: bool,
        yes: bool = False,
        confirm_self: bool = False,
        **arguments: object,
    ) -> int:
        body = {name: value for name, value in arguments.items() if value is not None}
        async with session.connect() as client:
            if confirm_self:
                client.confirm_self()
            path = f"/containers/{await container_id(client, container)}/{verb}"
            what = f"{verb} of {container}" if loses else None
            request = partial(client.post, path, body)
            return await perform(session, client, request, loses=what, plan=plan, yes=yes, follow=follow)

    keyword = Parameter.KEYWORD_ONLY
    parameters = [
        Parameter("session", keyword, annotation=Session),
        Parameter("container", keyword, annotation=ContainerArgument),
        *(_parameter(option) for option in options_of(verb).values()),
        Parameter("plan", keyword, default=False, annotation=PlanOption),
        Parameter("follow", keyword, default=True, annotation=FollowOption),
    ]
    if loses:
        parameters.append(Parameter("yes", keyword, default=False, annotation=YesOption))
    if interrupts:
        parameters.append(Parameter("confirm_self", keyword, default=False, annotation=ConfirmSelfOption))
    change.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # `command` reads it
    command(app, verb, f"{summary[:1].lower()}{summary[1:]}")(change)


def _parameter(option: Option) -> Parameter:
    read = partial(read_argument, option)
    if option.is_positional:
        argument = Annotated[Any, typer.Argument(parser=read, help=option.text, show_default=False)]
        return Parameter(option.name, Parameter.KEYWORD_ONLY, annotation=argument)
    flag = f"--{option.name.replace('_', '-')}"
    metavar = _METAVARS.get(option.read, "TEXT")
    annotation = Annotated[Any, typer.Option(flag, parser=read, help=option.text, metavar=metavar)]
    return Parameter(option.name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _reader(annotation: Any) -> Callable[[str], object]:
    """Return what reads a value of this type from the command line."""
    (kind,) = [each for each in get_args(annotation) if each is not NoneType] or [annotation]
    if kind in {int, float, str}:
        return kind  # type: ignore[no-any-return]  # a type is what reads its own values
    if kind is bool:
        return _read_yes
    if get_origin(kind) is Literal:
        return partial(_read_choice, get_args(kind))
    return _read_list if kind == tuple[str, ...] else _read_json


def _read_yes(text: str) -> bool:
    return _read_choice(("yes", "no"), text) == "yes"


def _read_choice(choices: tuple[str, ...], text: str) -> str:
    if text not in choices:
        raise ValueError(f"{text!r} must be one of {', '.join(choices)}")
    return text


def _read_list(text: str) -> list[str]:
    """Read words with commas between them; an empty text is an empty list."""
    return [part for part in text.split(",") if part]


def _read_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"it must be JSON, as the API takes it ({error})") from error


_METAVARS: Mapping[Callable[[str], object], str] = MappingProxyType(
    {int: "NUMBER", float: "NUMBER", _read_yes: "yes|no", _read_list: "A,B,...", _read_json: "JSON"}
)
