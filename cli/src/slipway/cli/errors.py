"""Failures as the user of a command reads them: what happened, why, what to do, and the exit status."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

_ADVICE = {
    "container.not-found": "`slipway ls` lists the containers.",
    "job.not-found": "`slipway jobs` lists the jobs.",
    "cluster.not-found": "`slipway clusters` lists the clusters.",
    "template.not-found": "`slipway templates` lists the templates.",
    "unauthenticated": "Check the token: SLIPWAY_TOKEN_FILE, or the data folder that --data names.",
    "job.ended": "`slipway job show JOB` says how it ended.",
}
"""The problem's code to what helps."""


class CommandFailed(Exception):
    """A command did not do what it should; the text says what happened, why, and what to do."""

    status = 1


class WrongInput(CommandFailed):
    """The command line itself has to be corrected."""

    status = 2


def explanation(error: Exception) -> str | None:
    """Return the line that reports a failure; None if it is a defect of ours, which needs its traceback."""
    import typer

    from slipway.client.endpoints import NotRunning
    from slipway.client.tls import NotTrusted
    from slipway.client.transport import ApiProblem, ApiUnreachable

    match error:
        case typer.TyperException():
            return _usage(error)
        case ApiProblem():
            # A message that names a command itself has said what to do.
            advice = None if "`slipway " in str(error) else _ADVICE.get(error.code)
            message = " ".join(filter(None, [str(error), advice]))
        case ApiUnreachable():
            message = f"{error}. Check that Slipway runs there and that this machine reaches it."
        case OSError(strerror=str(reason)) if error.filename:
            message = f"{error.filename}: {reason}"
        case CommandFailed() | NotRunning() | NotTrusted() | OSError():
            message = str(error)
        case _:
            return None
    return f"slipway: {message}"


def _usage(error: "typer.TyperException") -> str:
    """Return what is wrong with a command line, and where its help is."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        return message
    path = context.command_path if context else "slipway"
    return f"slipway: {message.rstrip('.')}. `{path} --help` lists what it takes."
