"""Where the keys of the bus's users are; what makes them is `identities`."""

from pathlib import Path


class Identities:
    """Where the keys are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.users_file = folder / "users.conf"
        """What the server's configuration includes."""
        self.public_file = folder / "sealing-public.json"
        """The public keys for sealed secrets: `SLIPWAY_SEALING_PUBLIC_FILE`."""

    def nkey_file(self, user: str) -> Path:
        """A user's seed: `SLIPWAY_NATS_NKEY_FILE`."""
        return self.folder / f"{user}.nk"

    def sealing_file(self, service: str) -> Path:
        """A service's private key: `SLIPWAY_SEALING_KEY_FILE`."""
        return self.folder / f"{service}.x25519"
