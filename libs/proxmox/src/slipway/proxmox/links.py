"""The SSH connections to one node, and a session of them for each command.

sshd allows 10 sessions on a connection by default, and commands that follow a script hold theirs for long; so
connections are added as they are needed, up to a bound, and those without work are closed but one. The host
key is the one in the access and no other; no file of this machine's user is read.

A session that could not be opened is asked for once more on a new connection: nothing was run yet. Once the
command is on its way nothing is repeated.
"""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import asyncssh
from asyncssh.constants import OPEN_REQUEST_SESSION_FAILED
from pydantic import SecretStr

from slipway.contracts.problems import Invalid, SlipwayError
from slipway.proxmox.access import NodeAccess
from slipway.proxmox.errors import AccessRefused, HostKeyMismatch, SshRefused, unknown_name

CONNECT_SECONDS = 15.0
_PUBLIC_KEY = re.compile(r"\s*(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]")
SESSIONS = 8
"""On one connection."""
CONNECTIONS = 8
CIPHERS = "^aes256-gcm@openssh.com,aes128-gcm@openssh.com"
"""Before asyncssh's other ones: a packet takes a fifth of the time that it takes with its first, ChaCha20."""
KEEPALIVE_SECONDS = 5.0
"""A connection that is silent for three of these is dead."""


@dataclass(slots=True)
class Link:
    """A connection, and how many of its sessions are taken."""

    connection: asyncssh.SSHClientConnection
    sessions: int = 0


class Links:
    """The connections to one node."""

    def __init__(self, access: NodeAccess) -> None:
        # asyncssh writes commands to its log at INFO.
        asyncssh.set_log_level(logging.WARNING)
        self._access = access
        self._links: list[Link] = []
        self._is_retired = False
        self._choosing = asyncio.Lock()
        self._free = asyncio.Semaphore(SESSIONS * CONNECTIONS)

    @contextlib.asynccontextmanager
    async def process(self, line: str) -> AsyncIterator["asyncssh.SSHClientProcess[bytes]"]:
        """Start a command in a session of its own."""
        async with self._free:
            link, process = await self._start(line)
            try:
                yield process
            finally:
                self._give_back(link)

    def retire(self) -> None:
        """Close each connection as soon as nothing runs on it; what runs may end."""
        self._is_retired = True
        for link in [link for link in self._links if link.sessions == 0]:
            self._drop(link)
            link.connection.close()

    async def aclose(self) -> None:
        """Cut all connections."""
        links, self._links = self._links, []
        for link in links:
            link.connection.abort()
        for link in links:
            await link.connection.wait_closed()

    async def _start(self, line: str) -> tuple[Link, "asyncssh.SSHClientProcess[bytes]"]:
        for is_new in (False, True):
            chosen = await self._take(is_new=is_new)
            try:
                return chosen, await chosen.connection.create_process(line, encoding=None)
            except asyncssh.ChannelOpenError as error:
                chosen.sessions -= 1
                if error.code == OPEN_REQUEST_SESSION_FAILED:
                    raise
                self._drop(chosen)
                refused = error
            except OSError as error:
                chosen.sessions -= 1
                raise asyncssh.ConnectionLost(str(error)) from error
            except BaseException:
                chosen.sessions -= 1
                raise
        raise self._refused(refused) from refused

    async def _take(self, *, is_new: bool) -> Link:
        async with self._choosing:
            self._links = [link for link in self._links if not link.connection.is_closed()]
            free = (link for link in self._links if link.sessions < SESSIONS and not is_new)
            link = next(free, None) or await self._connect()
            link.sessions += 1
            return link

    def _give_back(self, link: Link) -> None:
        link.sessions -= 1
        is_spare = self._is_retired or link not in self._links or len(self._links) > 1
        if link.sessions == 0 and is_spare:
            self._drop(link)
            link.connection.close()

    def _drop(self, link: Link) -> None:
        if link in self._links:
            self._links.remove(link)

    async def _connect(self) -> Link:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                link = Link(await self._open())
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise self._refused(error) from error
        except ValueError as error:
            # Names and passwords that SSH can't say at all, and keys that are damaged inside.
            raise Invalid(
                f"The SSH login to {self._access.name} can't be used: user name, password or key hold what "
                "SSH does not take.",
                code="proxmox.access-invalid",
            ) from error
        self._links.append(link)
        return link

    async def _open(self) -> asyncssh.SSHClientConnection:
        access = self._access
        return await asyncssh.connect(
            access.address,
            access.port,
            username=access.username,
            password=access.password.get_secret_value() if access.password else None,
            client_keys=[_read_private_key(access.private_key)] if access.private_key else None,
            known_hosts=([_host_key(access)], [], []),
            config=None,
            encryption_algs=CIPHERS,
            agent_path=None,
            keepalive_interval=KEEPALIVE_SECONDS,
            login_timeout=CONNECT_SECONDS,
        )

    def _refused(self, error: BaseException) -> SlipwayError:
        name = self._access.name
        if isinstance(error, asyncssh.HostKeyNotVerifiable) or "host key" in str(error).lower():
            return HostKeyMismatch(f"{name} shows another SSH host key than the pinned one.", node=name)
        if isinstance(error, asyncssh.PermissionDenied):
            return AccessRefused(
                f"{name} does not accept the SSH login of {self._access.username}.", node=name
            )
        return SshRefused(f"No SSH connection to {name}: {type(error).__name__}: {error}", node=name)


async def scan_host_key(
    address: str, *, port: int = 22, timeout: timedelta = timedelta(seconds=CONNECT_SECONDS)
) -> str:
    """Ask a node for its SSH host key, for a person to compare and pin: `ssh-ed25519 AAAA...`."""
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            key = await asyncssh.get_server_host_key(address, port, config=None)
    except socket.gaierror as error:
        raise SshRefused(unknown_name(address), address=address) from error
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise SshRefused(f"No SSH server answers at {address}, port {port}.", address=address) from error
    if key is None:
        raise SshRefused(f"The SSH server at {address} has no host key.", address=address)
    return key.export_public_key("openssh").decode().strip()


def host_key_fingerprint(host_key: str) -> str:
    """Return a host key's fingerprint as `ssh-keygen -lf` shows it: `SHA256:...`."""
    return asyncssh.import_public_key(host_key).get_fingerprint()


def refuse_unreadable_key(key: SecretStr) -> None:
    """Raise `Invalid` unless a text is a private key that opens without a passphrase."""
    _read_private_key(key)


def _read_private_key(key: SecretStr) -> asyncssh.SSHKey:
    text = key.get_secret_value()
    try:
        return asyncssh.import_private_key(text)
    except ValueError as error:
        # The error is not shown: it may quote a damaged key.
        why = _why_unreadable(text, str(error))
        raise Invalid(f"The SSH private key can't be read: {why}", code="proxmox.access-invalid") from None


def _why_unreadable(text: str, reason: str) -> str:
    if "passphrase" in reason.lower() or "encrypt" in reason.lower():
        return "it is protected by a passphrase. `ssh-keygen -p -N ''` takes it off a copy."
    if _PUBLIC_KEY.match(text) or "PUBLIC KEY" in text:
        return "this is the public half; give the private one, the file without `.pub`."
    return "it is no private key in OpenSSH or PEM form: give the whole file, with its first and last line."


def _host_key(access: NodeAccess) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(access.host_key)
    except ValueError as error:
        raise Invalid("The SSH host key can't be read.", code="proxmox.access-invalid") from error
