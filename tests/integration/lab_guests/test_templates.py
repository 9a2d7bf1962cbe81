"""The project's own templates, on real Debian containers: packages, files, scripts twice, what they serve."""

from pathlib import Path

import pytest

from slipway.catalog.sources.scanner import ScannedTemplate, scan
from slipway.lab.guests.protocol import Guests
from support.guest_specs import Ran, run, script, spec, wait_until_ready

pytestmark = [pytest.mark.lxc, pytest.mark.slow, pytest.mark.usefixtures("lxc_is_here")]

TEMPLATES = {
    template.manifest.name: template
    for template in scan(Path(__file__).parents[3] / "infra/lxc/templates").templates
}
ENVIRONMENT = "SLIPWAY_LIB=/opt/t/lib/slipway.sh SLIPWAY_VAR_TITLE=Hello SLIPWAY_VAR_DATABASE=app"


async def built(guests: Guests, template: ScannedTemplate) -> list[Ran]:
    """Build a guest as the provisioner would, its scripts run twice; give what each run came to."""
    await guests.create(spec((await guests.templates())[0]))
    await guests.start(100)
    await wait_until_ready(guests, 100)
    packages = " ".join(name for part in template.manifest.packages for name in part.names)
    install = f"DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends {packages}"
    assert (await script(guests, 100, f"apt-get -q update && {install}")).code == 0
    await run(guests, 100, "sh", "-c", "mkdir /opt/t && tar -C /opt/t -x", stdin=template.archive)
    await script(guests, 100, "cd /opt/t/files 2>/dev/null && cp -r . / || true")
    scripts = [part.name for part in template.manifest.scripts]
    return [
        await script(guests, 100, f"{ENVIRONMENT} sh /opt/t/scripts/{name}") for name in [*scripts, *scripts]
    ]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
async def test_scripts_run_and_run_again(real: Guests, name: str) -> None:
    """Each script succeeds, and succeeds again on what it made: a run may be repeated after a crash."""
    ran = await built(real, TEMPLATES[name])

    assert [each.code for each in ran] == [0] * len(ran), [each.errors for each in ran]
    check = {"nginx-site": _nginx, "postgresql": _postgresql}.get(name)
    if check is not None:
        await check(real)


async def _nginx(guests: Guests) -> None:
    page = await script(guests, 100, "curl -s http://127.0.0.1/")
    closed = await script(guests, 100, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/status")
    opened = await script(
        guests,
        100,
        "curl -s -u status:$(sed -n 's/^status-password=//p' /etc/slipway/credentials/nginx) "
        "http://127.0.0.1/status",
    )

    assert "Served by nginx" in page.output
    assert closed.output == "401"
    assert "Active connections" in opened.output


async def _postgresql(guests: Guests) -> None:
    asked = await script(
        guests,
        100,
        "PGPASSWORD=$(sed -n 's/^password=//p' /etc/slipway/credentials/postgresql) "
        "psql -h $(hostname -I | cut -d' ' -f1) -U app -d app -Atc 'select current_user'",
    )

    assert asked.output == "app\n", asked.errors
