"""Install, remove and show the service: what each does is a list of steps, which `--plan` prints."""

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from typer.main import get_command

from slipway.cli.errors import CommandFailed, WrongInput
from slipway.cli.terminal import say
from slipway.standalone.commands import up
from slipway.standalone.embedded.process import Account
from slipway.standalone.systemd.unit import ENVIRONMENT, MADE, NAME, STATE, UNIT, Service, unit_text

COMMAND_SECONDS = 150
"""For one command of systemd: it waits for the service's stop."""
_BOOTED = Path("/run/systemd/system")
"""There if systemd runs this machine (sd_booted(3))."""
_NO_SHELL = "/usr/sbin/nologin"
_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
"""What `ProtectHome` hides from the service."""
_NO_SYSTEMD = (
    "systemd does not run this machine. Let its own init run this command, as a user of its own:\n"
    "  {command}\n"
    "It stays in the foreground, and ends in good order on SIGTERM."
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done, and what a person reads of it."""

    text: str
    act: Callable[[], object]


def install_steps(service: Service, *, is_user_there: bool) -> list[Step]:
    """Return what an installation does."""
    user = ["useradd", "--system", "--user-group", "--home-dir", str(STATE), "--no-create-home"]
    user += ["--shell", _NO_SHELL, NAME]
    return [
        *([] if is_user_there else [_command(*user)]),
        Step(f"write {UNIT}:\n\n{unit_text(service)}", lambda: _write(UNIT, unit_text(service))),
        _command("systemctl", "daemon-reload"),
        _command("systemctl", "enable", NAME),
        _command("systemctl", "restart", NAME),
    ]


def uninstall_steps() -> list[Step]:
    """Return what a removal does; the data folder and its user stay."""
    return [
        _command("systemctl", "disable", "--now", NAME),
        Step(f"remove {UNIT}", lambda: UNIT.unlink(missing_ok=True)),
        _command("systemctl", "daemon-reload"),
    ]


def install(service: Service, *, is_plan: bool) -> int:
    """Make the user and the unit, and start it."""
    steps = install_steps(service, is_user_there=user_exists())
    if is_plan:
        _print(steps)
        return 0
    _require_own_unit()
    require_systemd(service)
    require_reachable(service.program)
    run_steps(steps)
    say(f"Slipway runs as a service; its data is in {STATE}, its settings can stand in {ENVIRONMENT}.")
    say(f"See how it is: `slipway service status`, `journalctl -u {NAME}`, `slipway doctor --data {STATE}`.")
    where = (
        f"http://127.0.0.1:{service.port}"
        if not service.options
        else f"the address that `journalctl -u {NAME}` names"
    )
    say(f"Sign in at {where}, with the secret in {STATE}/secrets/bootstrap-token.")
    return 0


def uninstall(*, is_plan: bool) -> int:
    """Stop it and remove the unit."""
    if is_plan:
        _print(uninstall_steps())
        return 0
    if not UNIT.exists():
        raise CommandFailed(f"there is no {UNIT}: Slipway is no service of this machine; nothing was changed")
    _require_own_unit()
    _require_root()
    run_steps(uninstall_steps())
    say(f"The service is gone, its data is not: `slipway uninstall --data {STATE}` removes that too.")
    return 0


def status() -> int:
    """Print how the service is; return 0 if it runs."""
    if not UNIT.exists():
        raise CommandFailed("Slipway is no service of this machine; `slipway service install` makes it one")
    if not _BOOTED.is_dir():
        raise CommandFailed(f"{UNIT} is there, but systemd does not run this machine")
    fields = ("ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts", "ActiveEnterTimestamp")
    options = [f"--property={field}" for field in fields]
    output = _ran("systemctl", "show", NAME, *options)
    say(output.strip())
    return 0 if "ActiveState=active" in output else 1


def main_pid() -> int | None:
    """Return the process of the service that runs; None if none does."""
    if not UNIT.exists() or not _BOOTED.is_dir():
        return None
    return int(_ran("systemctl", "show", NAME, "--property=MainPID", "--value").strip() or 0) or None


def program_of_unit() -> Path:
    """Return the `slipway` command that the unit runs."""
    line = next(
        each for each in UNIT.read_text(encoding="utf-8").splitlines() if each.startswith("ExecStart=")
    )
    return Path(shlex.split(line.partition("=")[2])[0])


def start_and_stop_steps() -> tuple[Step, Step]:
    """Return how the service is started, and how it is stopped."""
    return _command("systemctl", "start", NAME), _command("systemctl", "stop", NAME)


def run_steps(steps: Sequence[Step]) -> None:
    """Do one step after the other; the first that fails ends it."""
    for step in steps:
        say(step.text.partition(":\n")[0])
        step.act()


def remove_user() -> None:
    """Remove the service's user."""
    _ran("userdel", NAME)


def require_systemd(service: Service) -> None:
    """Raise `CommandFailed`, with what to do instead, unless root can make a service here."""
    command = shlex.join([str(service.program), "up", "--data", str(STATE), "--port", str(service.port)])
    if not _BOOTED.is_dir():
        raise CommandFailed(_NO_SYSTEMD.format(command=command))
    _require_root()


def require_reachable(program: Path) -> None:
    """Raise `CommandFailed` unless the service's user, who has no home, can run the program."""
    if not str(program).isprintable() or set(str(program)) & set("\"'\\$"):
        raise CommandFailed(f"systemd runs no program with such a name: {str(program)!r}; move it elsewhere")
    places = {program, program.resolve(), Path(sys.prefix), Path(sys.base_prefix).resolve()}
    anyone = Account(uid=-1, gid=-1)
    for place in sorted(places):
        if any(hidden in place.parents for hidden in _HIDDEN) or not anyone.can_reach(place):
            raise CommandFailed(
                f"a service can't run {place}: it lies in a home, or in a folder that is closed to others. "
                "Install Slipway for the whole machine: `PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin "
                "pipx install slipway-standalone`, or with pip into a virtual environment below /opt, with a "
                "Python of the system."
            )


def require_options_of_up(options: Sequence[str]) -> None:
    """Raise what `slipway up` would end with at once, each time that the service starts."""
    given = {each.partition("=")[0] for each in options} & {"--data", "--port"}
    if given:
        raise WrongInput(f"{', '.join(sorted(given))}: the service has its own")
    context = get_command(up).make_context("slipway up", list(options))
    for name, value in context.params.items():
        if isinstance(value, Path) and not value.is_absolute():
            option = f"--{name.replace('_', '-')}"
            raise WrongInput(f"{option} {value}: the service runs elsewhere; give the whole path")


def user_exists() -> bool:
    """Whether the service's user is there."""
    return any(user.pw_name == NAME for user in pwd.getpwall())


def is_own_user() -> bool:
    """Whether the service's user is the one that an installation has made, not somebody of that name."""
    made = (str(STATE), _NO_SHELL)
    return any(user.pw_name == NAME and (user.pw_dir, user.pw_shell) == made for user in pwd.getpwall())


def is_own_unit(unit: Path = UNIT) -> bool:
    """Whether there is a unit, and an installation has made it."""
    try:
        return unit.read_text(encoding="utf-8").startswith(MADE)
    except FileNotFoundError:
        return False


def own_program() -> Path:
    """Return the `slipway` command that runs now, by its path."""
    found = Path(sys.argv[0])
    if found.name == "slipway" and found.is_absolute() and found.is_file():
        return found
    beside = Path(sys.executable).with_name("slipway")
    return beside if beside.is_file() else Path(shutil.which("slipway") or beside)


def _require_own_unit() -> None:
    if UNIT.exists() and not is_own_unit():
        raise CommandFailed(
            f"`slipway service install` has not made {UNIT}: nothing was changed. If it may go, remove it"
        )


def _require_root() -> None:
    if os.geteuid() != 0:
        raise CommandFailed("only root can do this: run it with sudo, or see what it would do with --plan")


def _command(*words: str) -> Step:
    return Step(shlex.join(words), lambda: _ran(*words))


def _ran(*words: str) -> str:
    """Run a command to its end; raise `CommandFailed` with what it wrote unless it succeeds."""
    try:
        done = subprocess.run(  # noqa: S603 - the words are our own
            words,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"there is no program {words[0]} on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"`{shlex.join(words)}` did not end within {COMMAND_SECONDS} s") from error
    if done.returncode != 0:
        raise CommandFailed(f"`{shlex.join(words)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o644)
    draft.replace(path)


def _print(steps: Sequence[Step]) -> None:
    for number, step in enumerate(steps, 1):
        say(f"{number}. {step.text}")
