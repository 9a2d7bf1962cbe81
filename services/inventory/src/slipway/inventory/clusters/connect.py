"""Connect a cluster by root's password: access is made on a node, then the cluster is added as any other.

The password is sealed on the way, used by the provisioner to run the token script, and stored nowhere.
A cluster that is known already is refused before anything is made. If the cluster can't be saved afterwards,
what was made on the node is taken away again, or the error says what is left. New access for a known cluster,
or for one that was removed, has an id of its own, so that the old one works until the new one is saved; then
the old one is taken away. No two requests share an id: the one that fails takes nothing of the other's away.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.checks import Check, CheckName, CheckState
from slipway.contracts.clusters import (
    AddCluster,
    ChangeClusterAccess,
    Cluster,
    ClusterSecrets,
    ClusterSpec,
    SshNode,
)
from slipway.contracts.connections import ConnectCluster, MadeAccess, MakeNodeAccess, RemoveNodeAccess
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Sealed
from slipway.inventory.clusters import rules
from slipway.inventory.clusters.handlers import ClusterHandlers
from slipway.inventory.clusters.identity import KnownClusters
from slipway.inventory.clusters.store import StoredCluster
from slipway.inventory.decision import AuditNote, Decision
from slipway.runtime.bus.call import Call
from slipway.runtime.process.logs import get_logger

log = get_logger()
ACTION = "cluster.connect"
_MADE = (
    Check(name=CheckName.NODE_LOGIN, state=CheckState.PASSED),
    Check(name=CheckName.NODE_SCRIPT, state=CheckState.PASSED),
)
_NOTHING_MADE = ("connect.", "cluster.", "service.unavailable", "proxmox.access-invalid")
"""How the codes of errors begin after which nothing was made, but for the next one."""
_MAY_HAVE_MADE = "connect.script-failed"


@dataclass(frozen=True, slots=True)
class ClusterConnector:
    """Connects clusters."""

    handlers: ClusterHandlers

    async def connect(self, query: ConnectCluster, call: Call) -> Cluster:
        """Make access on a node and save it."""
        stored = await self.handlers.unit.stored_reply(call, ACTION, query)
        if stored is not None:
            return stored
        rules.check_login(query.name, query.login, query.api_port)
        password = self.handlers.secret_broker.receive(query.password, owner=query.name, field="password")
        new_id = secrets.token_hex(4)
        made: MadeAccess | None = None
        # What is saved on the way belongs to this request, which alone may be repeated under its key.
        inner = replace(call, idempotency_key=None)
        try:
            cluster = await self._known(query)
            known = await self.handlers.identities.known(own=cluster.id if cluster else "")
            making = self._making(query, password, new_id, cluster, known)
            # Whatever becomes of us, it is known what may be on the node.
            await self._audit(query, inner, outcome="begun", id=new_id)
            made = await self.handlers.bus.ask(making)
            saved = await self._saved(query, made, cluster, inner)
        except SlipwayError as error:
            used = (rules.access_id(made.token_id) if made else error.details.get("id")) or new_id
            if made is not None:
                error.checks = (*_MADE, *error.checks)
            left = None
            if made is not None or _may_have_made(error):
                left = await self._take_back(query, password, used, error)
            further = {"left": left} if left else {}
            await self._audit(query, inner, outcome="failed", code=error.code, **further)
            raise
        before = rules.access_id(cluster.spec.token_id) if cluster else known.ids.get(saved.identity or "")
        left = None if before is None or await self._is_removed(query, password, before) else before
        details = {**self._details(query), "token": made.token_id, **({"left": left} if left else {})}

        async def decide(_tx: AsyncConnection) -> Decision[Cluster]:
            note = AuditNote(action=ACTION, target=saved.id, details=details)
            return Decision(reply=saved, audit=[note])

        return await self.handlers.unit.once(call, ACTION, query, decide)

    async def _known(self, query: ConnectCluster) -> StoredCluster | None:
        """Return the cluster that gets new access; None: there is none yet, and its name is free."""
        if query.is_known:
            return await self.handlers.store.stored(query.name)
        endpoint = rules.endpoint_of(query.login.address, query.api_port)
        await self.handlers.identities.refuse_taken(
            rules.normal(ClusterSpec(name=query.name, endpoint=endpoint))
        )
        return None

    def _making(
        self,
        query: ConnectCluster,
        password: SecretStr,
        new_id: str,
        cluster: StoredCluster | None,
        known: KnownClusters,
    ) -> MakeNodeAccess:
        return MakeNodeAccess(
            name=query.name,
            login=query.login,
            password=self._sealed(query, password),
            id=new_id,
            tier=query.tier,
            bounds=query.bounds,
            like=(rules.access_id(cluster.spec.token_id) or "") if cluster else "",
            own=(cluster.identity or "") if cluster else "",
            known=known.names,
            ids={} if cluster else known.ids,
        )

    async def _saved(
        self, query: ConnectCluster, made: MadeAccess, cluster: StoredCluster | None, call: Call
    ) -> Cluster:
        """Save what was made, as if a person had sent it."""
        pinned, login = query.tls_fingerprint, query.login
        trust = {
            "tls_fingerprint": pinned or made.tls_fingerprint,
            "ca": None if pinned else made.ca,
            "token_id": made.token_id,
            "tier": query.tier,
            "vmids": made.vmids,
        }
        sealed = ClusterSecrets(token_secret=made.token_secret, ssh_private_key=made.ssh_private_key)
        reached = SshNode(address=login.address, port=login.port, host_key=login.host_key)
        nodes = {made.node: reached} if query.tier.uses_ssh else {}
        if cluster is not None:
            login_now = {"ssh_username": "root", "nodes": nodes} if query.tier.uses_ssh else {}
            change = {"cluster": query.name, **trust, **login_now, "secrets": sealed}
            saved = await self.handlers.change_access(ChangeClusterAccess.model_validate(change), call)
        else:
            described = {
                "name": query.name,
                "endpoint": rules.endpoint_of(login.address, query.api_port),
                "ssh_port": login.port,
                "nodes": nodes,
            }
            spec = ClusterSpec.model_validate({**described, **trust})
            saved = await self.handlers.add(AddCluster(spec=spec, secrets=sealed), call)
        return saved.model_copy(update={"checks": (*_MADE, *saved.checks)})

    async def _take_back(
        self, query: ConnectCluster, password: SecretStr, made_as: str, error: SlipwayError
    ) -> str | None:
        """Take away what was made, and say so in the error; return the id that is left, if that fails."""
        if await self._is_removed(query, password, made_as):
            error.message += " What it had made on the node was taken away again."
            return None
        error.details["left"] = made_as
        error.message += (
            f" What it made may be left on the node: the user slipway-{made_as}@pve, its roles and SSH key. "
            f"The script takes them away: `slipway cluster script --remove {made_as}`."
        )
        return made_as

    async def _audit(self, query: ConnectCluster, call: Call, *, outcome: str, **further: str) -> None:
        details = {**self._details(query), **further}
        note = AuditNote(action=ACTION, target=query.name, outcome=outcome, details=details)

        async def decide(_tx: AsyncConnection) -> Decision[None]:
            return Decision(reply=None, audit=[note])

        await self.handlers.unit.run(call, decide)

    async def _is_removed(self, query: ConnectCluster, password: SecretStr, made_as: str) -> bool:
        sealed = self._sealed(query, password)
        try:
            await self.handlers.bus.ask(
                RemoveNodeAccess(name=query.name, login=query.login, password=sealed, id=made_as)
            )
        except SlipwayError as error:
            log.warning("access not taken away", cluster=query.name, id=made_as, code=error.code)
            return False
        return True

    def _sealed(self, query: ConnectCluster, password: SecretStr) -> Sealed:
        sealer = self.handlers.secret_broker.sealer
        return sealer.seal(password, to="provisioner", owner=query.name, field="password")

    def _details(self, query: ConnectCluster) -> Mapping[str, str]:
        return {"name": query.name, "address": query.login.address, "tier": str(query.tier)}


def _may_have_made(error: SlipwayError) -> bool:
    return error.code == _MAY_HAVE_MADE or not error.code.startswith(_NOTHING_MADE)
