"""The defaults of the host's commands; without imports, because `slipway --help` reads it."""

from pathlib import Path

from slipway.cli.errors import WrongInput

HOST = "127.0.0.1"
PORT = 7880
DATA = Path("~/.local/share/slipway").expanduser()
_LAST_PORT = 65535


def demo_data() -> Path:
    """Return where the demo keeps its data: in the checkout, else in the user's own place."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "Makefile").is_file() and (parent / "contracts").is_dir():
            return parent / ".slipway" / "demo"
    return Path("~/.local/share/slipway-demo").expanduser()


def read_folder(text: str | Path) -> Path:
    """Read a folder's path; an empty one would be the folder that somebody happens to be in."""
    if not str(text).strip():
        raise WrongInput("the data folder has no name: give one, or leave the option out")
    return Path(text)


def read_port(text: str) -> int:
    """Read a port's number; 0 is any free one."""
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise WrongInput(f"{text!r} is not a port: give a number from 0 to {_LAST_PORT}")
    return int(text)
