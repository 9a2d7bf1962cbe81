"""Catalog on a real bus and a real database."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from nats.aio.client import Client

from slipway.catalog.app import MIGRATIONS
from slipway.catalog.handlers import Handlers, TemplateNotFound
from slipway.catalog.manifest.model import TemplateInvalid
from slipway.catalog.publishing.store import TemplateStore
from slipway.catalog.settings import CatalogSettings
from slipway.catalog.sources.publisher import TemplatePublisher
from slipway.catalog.sources.scanner import ScanResult, scan
from slipway.contracts.problems import Invalid, NotFound, Unavailable
from slipway.contracts.templates import GetTemplate, ListTemplates, TemplateFault
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.bus.client import Bus
from slipway.runtime.database.engine import Database
from slipway.runtime.process.ending import end
from slipway.runtime.retry import retry_until_available
from slipway.runtime.topology import reconcile
from support.nats import SMALL, MakeBus
from support.postgres import Databases
from support.waiting import until

TEMPLATES = Path(__file__).parents[3] / "infra/lxc/templates"


def answering(database: Database, made: list[TemplatePublisher]) -> Callable[[Bus], None]:
    """Return what makes a bus answer catalog's queries."""

    def register(bus: Bus) -> None:
        store = TemplateStore(database)
        every = CatalogSettings.model_fields["scan_interval"].default
        publisher = TemplatePublisher(store, Bundles(bus), folder=TEMPLATES, every=every)
        handlers = Handlers(store, publisher)
        bus.answer(ListTemplates, handlers.list_templates)
        bus.answer(GetTemplate, handlers.get_template)
        made.append(publisher)

    return register


async def test_served_template_can_be_fetched_by_its_hash(make_bus: MakeBus, databases: Databases) -> None:
    """Who learns of a bundle gets exactly its bytes; an unknown template is reported with the known ones."""
    database = Database(await databases.make("catalog", MIGRATIONS))
    made: list[TemplatePublisher] = []
    serving = await make_bus("catalog", answering(database, made))
    scan_result = scan(TEMPLATES)
    await made[0].serve(scan_result)
    gateway = await make_bus("gateway")

    listed = await gateway.ask(ListTemplates())
    nginx = await gateway.ask(GetTemplate(name="nginx-site"))

    assert [template.name for template in listed.items] == ["debian-base", "nginx-site", "postgresql"]
    assert await Bundles(serving).get(nginx.bundle) == scan_result.templates[1].archive
    with pytest.raises(NotFound, match="nginx-site") as refused:
        await gateway.ask(GetTemplate(name="nope"))
    assert refused.value.code == TemplateNotFound.code
    await database.dispose()


async def test_a_template_with_a_fault_is_told_with_the_fault(
    make_bus: MakeBus, databases: Databases
) -> None:
    """It is there: who asks for it learns what to mend, not that there is none."""
    database = Database(await databases.make("catalog", MIGRATIONS))
    made: list[TemplatePublisher] = []
    await make_bus("catalog", answering(database, made))
    await made[0].serve(
        ScanResult((), (TemplateFault(folder="web", message="template.yaml: version: 1.10."),))
    )
    gateway = await make_bus("gateway")

    with pytest.raises(
        Invalid, match=r"a template 'web', but it can't be used\. template\.yaml: version"
    ) as refused:
        await gateway.ask(GetTemplate(name="web"))

    assert refused.value.code == TemplateInvalid.code
    assert [each.field for each in refused.value.errors] == ["template"]
    await database.dispose()


async def test_archives_that_the_bus_has_lost_are_stored_again(
    make_bus: MakeBus, databases: Databases, admin: Client
) -> None:
    """A bus set up anew is filled while catalog runs; no file has to change for it."""
    database = Database(await databases.make("catalog", MIGRATIONS))
    bundles = Bundles(await make_bus("catalog"))
    publisher = TemplatePublisher(
        TemplateStore(database), bundles, folder=TEMPLATES, every=timedelta(milliseconds=50)
    )
    # As the service runs it: again after a scan that met no object store.
    running = asyncio.create_task(retry_until_available(publisher.run, event="scan delayed"))
    nginx = await stored(bundles)

    await admin.jetstream().delete_stream("OBJ_bundles")
    await reconcile.apply(admin, SMALL)

    assert await stored(bundles) == nginx
    await end(running)
    await database.dispose()


async def stored(bundles: Bundles) -> str:
    """Wait until an archive of ours is in the store; return its hash."""
    archive = scan(TEMPLATES).templates[1].archive
    name = hashlib.sha256(archive).hexdigest()

    async def is_there() -> bool:
        with suppress(Unavailable):
            return await bundles.has(name)
        return False

    await until(is_there)
    return name
