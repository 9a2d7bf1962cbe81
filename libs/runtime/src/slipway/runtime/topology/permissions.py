"""What each user of the bus may publish and subscribe to: no more than it needs.

Publishers and askers come from `contracts.registry`, consumers and reads from the topology; only the writes
into buckets are listed here. What is not listed is refused by the server;
nobody but an administrator may create, change, purge or delete a stream or a consumer. Only `integrator` may
have consumers of its own: it lives in an account where nothing is obeyed
(`slipway.runtime.topology.accounts`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slipway.contracts.registry import ASKERS, PUBLISHERS, SERVICES
from slipway.runtime.bus.connection import inbox_prefix
from slipway.runtime.topology.declared import (
    BUNDLES,
    CONSUMERS,
    DEAD_LETTERS,
    EVENTS,
    LIVE,
    LIVE_PREFIX,
    LOCKS,
    LOOKS,
    READS,
)
from slipway.runtime.topology.mirror import MIRRORED

ADMIN = "admin"
INTEGRATORS_ADMIN = "integrators-admin"
"""Declares the integrators' mirror; sees nothing of the other account but events."""
INTEGRATOR = "integrator"
USERS = (*SERVICES, ADMIN, INTEGRATORS_ADMIN, INTEGRATOR)

_WRITES: Mapping[str, tuple[str, ...]] = {
    "inventory": (f"$JS.API.STREAM.MSG.DELETE.{DEAD_LETTERS}",),
    "monitor": (
        f"$KV.{LIVE}.>",
        f"$KV.{LOOKS}.>",
        f"$KV.{LOCKS}.>",
        f"$JS.API.STREAM.MSG.DELETE.KV_{LOCKS}",
    ),
    "catalog": (f"$O.{BUNDLES}.>",),
}
"""Which buckets a service may write; a lease is released by deleting its message, as is a dead letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What one user may do; empty lists mean anything (an administrator's)."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    answers: bool = False
    """Whether it may reply to requests."""


def permissions_of(user: str) -> Permissions:
    """Return the permissions of a user."""
    if user in (ADMIN, INTEGRATORS_ADMIN):
        return Permissions()
    if user == INTEGRATOR:
        return _integrator()
    return Permissions(
        publish=tuple(_published_by(user)),
        subscribe=tuple(_subscribed_by(user)),
        answers=True,
    )


def _published_by(service: str) -> Iterable[str]:
    yield from (kind.subject for kind, askers in ASKERS.items() if service in askers)
    yield from (kind.subject_filter() for kind, publishers in PUBLISHERS.items() if service in publishers)
    yield f"slipway.v1.dead-letter.{service}.>"
    yield from _WRITES.get(service, ())
    yield "$JS.API.INFO"
    yield "$JS.API.STREAM.INFO.*"
    for stream in READS[service]:
        yield from (f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.DIRECT.GET.{stream}.>")
        yield f"$JS.API.STREAM.MSG.GET.{stream}"
    yield from _consumers_of(service)


def _subscribed_by(service: str) -> Iterable[str]:
    yield f"{inbox_prefix(service)}.>"
    # Only as one of the replicas: without the queue group a second answer would come.
    yield f"slipway.v1.query.{service}.> {service}"
    if service == "gateway":
        yield f"{LIVE_PREFIX}>"
    if service == "provisioner":
        yield f"{LIVE_PREFIX}slipway.v1.state.job.*"
        yield f"{LIVE_PREFIX}slipway.v1.event.cluster.*.removed"
    if service == "monitor":
        yield f"{LIVE_PREFIX}slipway.v1.state.job.*"
        yield f"{LIVE_PREFIX}slipway.v1.event.cluster.*.facts-requested"
    if service == "inventory":
        yield f"$KV.{LOOKS}.*"


def _integrator() -> Permissions:
    """Subscribe to all events and manage consumers of the mirror: an ordinary client just works."""
    return Permissions(
        publish=(
            "$JS.API.INFO",
            "$JS.API.STREAM.NAMES",
            "$JS.API.STREAM.LIST",
            f"$JS.API.STREAM.INFO.{EVENTS}",
            f"$JS.API.STREAM.MSG.GET.{EVENTS}",
            *(f"$JS.API.DIRECT.GET.{EVENTS}{rest}" for rest in ("", ".>")),
            *(f"$JS.API.CONSUMER.{verb}.{EVENTS}" for verb in ("CREATE", "NAMES", "LIST")),
            *(
                f"$JS.API.CONSUMER.{verb}.{EVENTS}.>"
                for verb in ("CREATE", "DURABLE.CREATE", "INFO", "MSG.NEXT", "PAUSE", "UNPIN", "DELETE")
            ),
            f"$JS.ACK.{EVENTS}.>",
            f"$JS.FC.{EVENTS}.>",
        ),
        subscribe=("_INBOX.>", f"{inbox_prefix(INTEGRATOR)}.>", f"{LIVE_PREFIX}{MIRRORED}"),
    )


def _consumers_of(user: str) -> Iterable[str]:
    for each in CONSUMERS:
        if each.service == user:
            yield f"$JS.API.CONSUMER.INFO.{each.stream}.{each.durable}"
            yield f"$JS.API.CONSUMER.MSG.NEXT.{each.stream}.{each.durable}"
            yield f"$JS.ACK.{each.stream}.{each.durable}.>"
