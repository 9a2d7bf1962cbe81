"""How far the boot of a guest without systemd is: a genuine Alpine with OpenRC, and with none."""

from datetime import timedelta

import pytest

from slipway.provisioner.host.boot import INIT, Boot
from slipway.proxmox.hosts import Cluster
from support import lab_client
from support.alpine import boot

pytestmark = pytest.mark.lxc
LIMIT = timedelta(seconds=60)
SLOW = """cat >/etc/init.d/slow <<'END'
#!/sbin/openrc-run
start() { sleep 120; }
END
chmod +x /etc/init.d/slow
rc-update add slow %s
"""


async def look(cluster: Cluster, seconds: int) -> Boot:
    """Look into the guest."""
    done = await cluster.pct(lab_client.NODE).script(100, INIT, (str(seconds),), timeout=LIMIT)
    return Boot.read(done.stdout)


async def reboot(cluster: Cluster) -> None:
    """Stop and start."""
    for verb in ("stop", "start"):
        await lab_client.done(cluster.api, await getattr(cluster.api, verb)(lab_client.NODE, 100))


@pytest.mark.parametrize("level", ["default", "boot"])
async def test_service_that_takes_minutes_is_named(alpine_cluster: Cluster, level: str) -> None:
    """In whatever runlevel it is."""
    await boot(alpine_cluster)
    await alpine_cluster.pct(lab_client.NODE).script(100, SLOW % level, timeout=LIMIT)
    await reboot(alpine_cluster)

    seen = await look(alpine_cluster, 5)

    assert (seen.init, seen.awaits) == ("starting", ("slow",))


async def test_boot_that_is_over_is_seen(alpine_cluster: Cluster) -> None:
    """Nothing is awaited then."""
    await boot(alpine_cluster)

    assert await look(alpine_cluster, 20) == Boot(init="running", network={})


async def test_other_init_is_taken_as_it_is(alpine_cluster: Cluster) -> None:
    """It does not say how far it is, and nobody waits for it."""
    await boot(alpine_cluster)
    bare = "echo '::sysinit:/bin/true' >/etc/inittab; rm /sbin/openrc"
    await alpine_cluster.pct(lab_client.NODE).script(100, bare, timeout=LIMIT)
    await reboot(alpine_cluster)

    assert await look(alpine_cluster, 20) == Boot(init="running", network={})
