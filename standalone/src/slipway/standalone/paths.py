"""Where this installation's own files are: templates, scripts, and the record of requests to Proxmox."""

import errno
import os
from pathlib import Path

from slipway.standalone.embedded.process import Account
from slipway.standalone.embedded.shared import services_folder

_TEMPLATES = Path("infra", "lxc", "templates")
_SCRIPTS = Path("infra", "proxmox")


def own_templates() -> Path | None:
    """Return the templates' folder: of `SLIPWAY_TEMPLATES_DIR`, or the checkout's; None: catalog's own."""
    setting = os.environ.get("SLIPWAY_TEMPLATES_DIR")
    if setting is not None:
        return Path(setting).resolve()
    return _own(_TEMPLATES)


def own_script(name: str) -> Path:
    """Return a script for a Proxmox node: the checkout's, or what came with the installation.

    Raises:
        FileNotFoundError: if the installation lacks it.
    """
    folder = _own(_SCRIPTS)
    if folder is None or not (folder / name).is_file():
        raise FileNotFoundError(errno.ENOENT, "the installation lacks it", str(_SCRIPTS / name))
    return folder / name


def own_checkout() -> Path | None:
    """Return the checkout that this runs from; None if it is installed."""
    root = Path(__file__).resolve().parents[4]
    return root if (root / "requirements.lock").is_file() and (root / _SCRIPTS).is_dir() else None


def own_record(data: Path, account: Account | None) -> Path | None:
    """Make the file that requests to Proxmox are recorded in, if `SLIPWAY_PROXMOX_RECORD` asks for it.

    The services' user must be able to write it. Where it can't reach that place, the file lies beside the
    services' own ones, and a link to it stands where the setting names.
    """
    setting = os.environ.get("SLIPWAY_PROXMOX_RECORD")
    if setting is None:
        return None
    path = Path(setting).absolute()
    if account is None:
        return path
    if not account.can_reach(path.parent):
        inner = services_folder(data, account) / "proxmox-record.jsonl"
        if not path.exists():
            path.symlink_to(inner)
        path = inner
    path.touch(mode=0o600)
    os.chown(path, account.uid, account.gid)
    return path


def _own(folder: Path) -> Path | None:
    """Find a folder of `infra/`: beside our own modules, or in the checkout around them."""
    places = (parent / folder for parent in Path(__file__).resolve().parents)
    return next((each for each in places if each.is_dir()), None)
