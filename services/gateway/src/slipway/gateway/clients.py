"""Queries to the other services on behalf of an actor; secrets are sealed before they leave."""

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from slipway.contracts.clusters import (
    AddCluster,
    ChangeClusterAccess,
    Cluster,
    ClusterSecrets,
    ClusterSpec,
)
from slipway.contracts.connections import ConnectCluster, NodeLogin
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import CreateContainer, RevealCredential, Revealed
from slipway.contracts.message import Id
from slipway.contracts.problems import FieldError, Invalid
from slipway.contracts.templates import GetTemplate, Variable
from slipway.contracts.values import Sealed
from slipway.gateway.bodies import ContainerBody
from slipway.gateway.cluster_bodies import ClusterAccessBody, ClusterBody, ConnectBody, ReconnectBody
from slipway.runtime.bus.client import Bus
from slipway.runtime.secrets.sealing import Sealer

CREATION = "container-create"
"""The owner of secrets of a container that has no id yet."""
_SECRET = {"token_secret", "password"}
"""Fields of a cluster's body that travel sealed only."""


class VariableUnknown(Invalid):
    """A value for a variable that the template does not have."""

    code = "container.variable-unknown"


class Inventory:
    """Queries to inventory that need more than one message."""

    def __init__(self, bus: Bus, sealer: Sealer) -> None:
        self._bus = bus
        self._sealer = sealer

    async def creation(self, body: ContainerBody) -> CreateContainer:
        """Make the request for a container; its password and its secret variables travel sealed."""
        secret = await self._secret_variables(body)
        plain = {name: value for name, value in body.variables.items() if name not in secret}
        spec = ContainerSpec.model_validate(
            {**body.model_dump(exclude={"password", "count"}), "variables": plain}
        )
        return CreateContainer(
            spec=spec,
            password=self._sealed(body.password, owner=CREATION, field="password"),
            secret_variables=secret,
        )

    async def connect(self, body: ConnectBody) -> Cluster:
        """Ask for a cluster to be connected by root's password, which travels sealed."""
        return await self._connect(body, name=body.name, is_known=False)

    async def reconnect(self, cluster: str, body: ReconnectBody) -> Cluster:
        """Ask for new access to a cluster by root's password, which travels sealed."""
        return await self._connect(body, name=cluster, is_known=True)

    async def _connect(self, body: ConnectBody | ReconnectBody, *, name: str, is_known: bool) -> Cluster:
        query = ConnectCluster(
            name=name,
            login=NodeLogin(address=body.address, port=body.port, host_key=body.host_key),
            password=self._sealer.seal(body.password, to="inventory", owner=name, field="password"),
            api_port=body.api_port,
            tls_fingerprint=body.tls_fingerprint,
            tier=body.tier,
            bounds=body.bounds,
            is_known=is_known,
        )
        return await self._bus.ask(query)

    async def add_cluster(self, body: ClusterBody, *, is_anyway: bool) -> Cluster:
        """Ask for a cluster; its secrets travel sealed."""
        spec = ClusterSpec(
            **body.model_dump(exclude=_SECRET | {"ssh"}),
            ssh_username=body.ssh.username,
            ssh_port=body.ssh.port,
            nodes=body.ssh.nodes,
        )
        secrets = self._secrets(body, owner=body.name)
        return await self._bus.ask(AddCluster(spec=spec, secrets=secrets, is_anyway=is_anyway))

    async def change_access(self, cluster: str, body: ClusterAccessBody) -> Cluster:
        """Ask for another way to reach a cluster; its secrets travel sealed."""
        change = ChangeClusterAccess(
            cluster=cluster,
            **body.model_dump(exclude=_SECRET | {"ssh"}),
            ssh_username=body.ssh.username,
            ssh_port=body.ssh.port,
            nodes=body.ssh.nodes,
            secrets=self._secrets(body, owner=cluster),
        )
        return await self._bus.ask(change)

    def _secrets(self, body: ClusterBody | ClusterAccessBody, *, owner: str) -> ClusterSecrets:
        secrets = {
            "token_secret": body.token_secret,
            "password": body.password,
            "ssh_password": body.ssh.password,
            "ssh_private_key": body.ssh.private_key,
        }
        return ClusterSecrets(
            **{name: self._sealed(each, owner=owner, field=name) for name, each in secrets.items()}
        )

    async def reveal(self, container: Id, credential: Id) -> tuple[Revealed, SecretStr]:
        """Ask for a credential and open it."""
        revealed = await self._bus.ask(RevealCredential(container=container, credential=credential))
        return revealed, self._sealer.open(revealed.value, owner=credential, field="value")

    async def _secret_variables(self, body: ContainerBody) -> Mapping[str, Sealed]:
        """Seal the variables that the template calls secret; one it doesn't know is sent nowhere."""
        if not body.variables:
            return {}
        variables: Mapping[str, Variable] = {}
        if body.template is not None:
            template = await self._bus.ask(GetTemplate(name=body.template))
            variables = {each.name: each for each in template.manifest.variables}
        if faults := [_unknown(name, variables) for name in body.variables if name not in variables]:
            raise VariableUnknown("; ".join(each.message for each in faults), errors=faults)
        return {
            name: self._sealer.seal(SecretStr(value), to="inventory", owner=CREATION, field=name)
            for name, value in body.variables.items()
            if variables[name].is_secret
        }

    def _sealed(self, secret: SecretStr | None, *, owner: str, field: str) -> Sealed | None:
        return self._sealer.seal(secret, to="inventory", owner=owner, field=field) if secret else None


def _unknown(name: str, variables: Iterable[str]) -> FieldError:
    message = f"The template has no variable {name!r}. It has: {', '.join(variables) or 'none'}."
    return FieldError(field=f"variables.{name}", message=message)
