"""`topology apply` with the keys of both administrators, on a server that knows its users."""

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from slipway.runtime.topology import reconcile
from slipway.runtime.topology.__main__ import AdminSettings, apply_as_admin
from slipway.runtime.topology.identities import Identities
from slipway.standalone.embedded.nats import EmbeddedNats
from support.nats import SMALL
from support.users import Connect


def settings(server: EmbeddedNats, identities: Identities, integrators: str | None) -> AdminSettings:
    """Return where the keys are; the integrators' may be missing or another's."""
    key = identities.nkey_file(integrators) if integrators else None
    return AdminSettings(
        nats_url=server.url, nats_nkey_file=identities.nkey_file("admin"), integrators_nkey_file=key
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command takes the limits from the environment, and the test's server is small."""
    for name, value in SMALL.model_dump().items():
        if name.endswith("_max_bytes"):
            monkeypatch.setenv(f"SLIPWAY_{name.upper()}", str(value))


async def test_both_accounts_are_made_once(guarded: EmbeddedNats, identities: Identities) -> None:
    """Streams of the services and the integrators' mirror; nothing is left for a second run."""
    first = await apply_as_admin(settings(guarded, identities, "integrators-admin"))
    second = await apply_as_admin(settings(guarded, identities, "integrators-admin"))

    assert {"EVENTS", "INTEGRATORS/EVENTS"} <= {change.name for change in first}
    assert second == []


@pytest.mark.parametrize("integrators", [None, "admin", "inventory"])
async def test_services_get_theirs_without_the_right_key_for_integrators(
    guarded: EmbeddedNats, identities: Identities, integrators: str | None
) -> None:
    """A wrong key neither stops the command nor touches the origin, whose name the mirror has."""
    made = await apply_as_admin(settings(guarded, identities, integrators))
    again = await apply_as_admin(settings(guarded, identities, integrators))

    assert "EVENTS" in {change.name for change in made}
    assert again == []


async def test_what_an_older_version_declared_is_no_obstacle(connect: Connect) -> None:
    """The durable that all integrators once shared stays; nothing has to be undone by hand."""
    admin = await connect("admin")
    old = ConsumerConfig(
        durable_name="integrator-events", filter_subject="slipway.v1.event.>", ack_policy=AckPolicy.EXPLICIT
    )
    await admin.jetstream().add_consumer("EVENTS", old)

    assert await reconcile.apply(admin, SMALL) == []
