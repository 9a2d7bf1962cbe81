"""Asks the other services on behalf of who asked us; secrets are sealed before they leave."""

from collections.abc import Mapping

from pydantic import SecretStr

from slipway.contracts.clusters import AddCluster, Cluster, ClusterSecrets, ClusterSpec, SshNode
from slipway.contracts.containers import (
    Accepted,
    ContainerSpec,
    CreateContainer,
    RevealCredential,
    Revealed,
)
from slipway.contracts.message import Id
from slipway.contracts.templates import GetTemplate
from slipway.contracts.values import Sealed
from slipway.gateway.http.bodies import ClusterBody, ContainerBody
from slipway.runtime.bus import Bus
from slipway.runtime.sealing import Sealer

CREATION = "container-create"
"""The owner of secrets of a container that has no id yet."""


class Inventory:
    """What needs more than a plain question."""

    def __init__(self, bus: Bus, sealer: Sealer) -> None:
        self._bus = bus
        self._sealer = sealer

    async def create_container(self, body: ContainerBody) -> Accepted:
        """Ask for a container; its password and its secret variables travel sealed."""
        secret = await self._secret_variables(body)
        plain = {name: value for name, value in body.variables.items() if name not in secret}
        spec = ContainerSpec.model_validate({**body.model_dump(exclude={"password"}), "variables": plain})
        return await self._bus.ask(
            CreateContainer(
                spec=spec,
                password=self._sealed(body.password, owner=CREATION, field="password"),
                secret_variables=secret,
            )
        )

    async def add_cluster(self, body: ClusterBody) -> Cluster:
        """Ask for a cluster; its secrets travel sealed."""
        given = {
            "token_secret": body.token_secret,
            "password": body.password,
            "ssh_password": body.ssh.password,
            "ssh_private_key": body.ssh.private_key,
        }
        secrets = {name: self._sealed(each, owner=body.name, field=name) for name, each in given.items()}
        spec = ClusterSpec(
            name=body.name,
            endpoint=body.endpoint.rstrip("/"),
            token_id=body.token_id,
            username=body.username,
            tls_fingerprint=body.tls_fingerprint,
            ca=body.ca,
            ssh_username=body.ssh.username,
            ssh_port=body.ssh.port,
            nodes={name: SshNode(**node.model_dump()) for name, node in body.ssh.nodes.items()},
        )
        return await self._bus.ask(AddCluster(spec=spec, secrets=ClusterSecrets(**secrets)))

    async def reveal(self, container: Id, credential: Id) -> tuple[Revealed, SecretStr]:
        """Ask for a credential and open it."""
        told = await self._bus.ask(RevealCredential(container=container, credential=credential))
        return told, self._sealer.open(told.value, owner=told.id, field="value")

    async def _secret_variables(self, body: ContainerBody) -> Mapping[str, Sealed]:
        if not body.variables or body.template is None:
            return {}
        template = await self._bus.ask(GetTemplate(name=body.template))
        names = {each.name for each in template.manifest.variables if each.is_secret}
        return {
            name: self._sealer.seal(SecretStr(value), to="inventory", owner=CREATION, field=name)
            for name, value in body.variables.items()
            if name in names
        }

    def _sealed(self, secret: SecretStr | None, *, owner: str, field: str) -> Sealed | None:
        return self._sealer.seal(secret, to="inventory", owner=owner, field=field) if secret else None
