"""`slipway topology apply`: create or update the bus's streams, consumers and buckets."""

import argparse
from pathlib import Path

from pydantic import ValidationError

from slipway.cli.errors import WrongInput
from slipway.runtime.process import logs
from slipway.runtime.process.settings import explain
from slipway.runtime.topology.__main__ import AdminSettings, apply_as_admin


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("topology", help="streams, consumers and buckets of the bus")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    applying = verbs.add_parser("apply", help="create, diff and update; refuse what would destroy")
    applying.add_argument("--nats-url", help="default: SLIPWAY_NATS_URL")
    applying.add_argument(
        "--nkey-file", type=Path, help="the administrator's; default: SLIPWAY_NATS_NKEY_FILE"
    )
    applying.add_argument(
        "--integrators-nkey-file",
        type=Path,
        help="of the user integrators-admin; default: SLIPWAY_INTEGRATORS_NKEY_FILE",
    )
    applying.set_defaults(act=_apply)


async def _apply(given: argparse.Namespace) -> int:
    logs.configure("topology")
    try:
        settings = AdminSettings()
    except ValidationError as error:
        raise WrongInput("; ".join(explain(error))) from error
    told = {
        "nats_url": given.nats_url,
        "nats_nkey_file": given.nkey_file,
        "integrators_nkey_file": given.integrators_nkey_file,
    }
    changes = await apply_as_admin(
        settings.model_copy(update={name: value for name, value in told.items() if value is not None})
    )
    print("\n".join(str(change) for change in changes) or "unchanged")
    return 0
