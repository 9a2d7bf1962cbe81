"""The accounts of the bus: SLIPWAY, where commands are executed, and INTEGRATORS, which sees the events.

Accounts share nothing but what is exported and imported here: events as they come, and what the mirror of
`topology.mirror` needs. The only request that crosses is "make me a consumer of events" (and "send on" to
it). Deleting one does not: a reader can have the server send an empty message to any subject of its account,
by the reply subject of a request, and an empty message is all that deletes a consumer.
"""

from collections.abc import Mapping

from slipway.contracts.registry import SERVICES
from slipway.runtime.topology.declared import EVENTS, LIVE_PREFIX
from slipway.runtime.topology.mirror import DELIVERED_UNDER, MIRRORED, ORIGIN_API
from slipway.runtime.topology.permissions import ADMIN, INTEGRATOR, INTEGRATORS_ADMIN

ACCOUNTS: Mapping[str, tuple[str, ...]] = {
    "SLIPWAY": (*SERVICES, ADMIN),
    "INTEGRATORS": (INTEGRATORS_ADMIN, INTEGRATOR),
}
"""Who lives where."""

_MOST_CONSUMERS = 1000
"""Of all integrators together."""
_CREATE = f"CONSUMER.CREATE.{EVENTS}.*.{MIRRORED}"
_FLOW = f"$JS.FC.{EVENTS}.>"
_DELIVERED = (f"{DELIVERED_UNDER}.>", f"{LIVE_PREFIX}{MIRRORED}")

_SLIPWAY = "\n".join(
    (
        "    jetstream: enabled",
        "    exports: [",
        *(
            f'      {{ service: "{subject}", accounts: [INTEGRATORS] }}'
            for subject in (f"$JS.API.{_CREATE}", _FLOW)
        ),
        *(f'      {{ stream: "{subject}", accounts: [INTEGRATORS] }}' for subject in _DELIVERED),
        "    ]",
    )
)
_INTEGRATORS = "\n".join(
    (
        f"    jetstream: {{ max_streams: 1, max_consumers: {_MOST_CONSUMERS} }}",
        "    imports: [",
        *(
            f'      {{ service: {{ account: SLIPWAY, subject: "{theirs}" }}, to: "{ours}" }}'
            for theirs, ours in ((f"$JS.API.{_CREATE}", f"{ORIGIN_API}.{_CREATE}"), (_FLOW, _FLOW))
        ),
        *(f'      {{ stream: {{ account: SLIPWAY, subject: "{subject}" }} }}' for subject in _DELIVERED),
        "    ]",
    )
)
_SETTINGS = {"SLIPWAY": _SLIPWAY, "INTEGRATORS": _INTEGRATORS}


def accounts_conf(users: Mapping[str, str]) -> str:
    """Write the accounts of the server's configuration; `users` has each user's block."""
    accounts = ""
    for name, who in ACCOUNTS.items():
        blocks = "\n".join(users[each] for each in who)
        accounts += f"  {name} {{\n{_SETTINGS[name]}\n    users: [\n{blocks}\n    ]\n  }}\n"
    return f"accounts {{\n{accounts}}}\n"
