"""Assembles the provisioner: the only module that knows all the others."""

from slipway.contracts.host_state import CheckJob, CheckVmid, GetGuard, ListBackups, ListSnapshots
from slipway.contracts.jobs import CancelJob, RunJob
from slipway.contracts.plans import ExplainRun
from slipway.provisioner.access import Access
from slipway.provisioner.dry_run import Explainer
from slipway.provisioner.engine.records import Runs
from slipway.provisioner.engine.worker import Worker
from slipway.provisioner.listing import Listing
from slipway.provisioner.settings import ProvisionerSettings
from slipway.proxmox.hosts import Hosts
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.service import Service
from slipway.runtime.process.unreadable import UnreadableLog
from slipway.runtime.secrets.sealing import Sealer


def build() -> Service:
    """Build the service from its settings; opens nothing yet."""
    settings = ProvisionerSettings()
    bus = Bus(settings, service="provisioner")
    access = Access(bus, Sealer(settings), Hosts(settings.proxmox_record, unreadable=UnreadableLog().note))
    worker = register(bus, settings, access)
    service = Service("provisioner", settings, bus)
    service.background("cancel flags", worker.listen)
    service.background("removed clusters", access.listen)
    service.on_stop(access.aclose)
    return service


def register(bus: Bus, settings: ProvisionerSettings, access: Access) -> Worker:
    """Say which handler takes which command; the worker listens once the bus has started."""
    bundles = Bundles(bus)
    host_access = settings.host_access
    worker = Worker(
        bus,
        Runs(bus),
        access,
        bundles,
        Sealer(settings),
        retry_budget=settings.step_retry_budget,
        lock_wait=settings.lock_wait,
        host_access=host_access,
        log_limits=settings.log_limits,
    )
    bus.consume(RunJob, worker.run, durable="provisioner-run", slots=settings.run_slots)
    bus.answer(ExplainRun, Explainer(bus, access, bundles, host_access).explain)
    bus.consume(CancelJob, worker.cancel, durable="provisioner-cancel")
    listing = Listing(access)
    bus.answer(GetGuard, listing.guard)
    bus.answer(CheckJob, listing.check)
    bus.answer(CheckVmid, listing.vmid)
    bus.answer(ListSnapshots, listing.snapshots)
    bus.answer(ListBackups, listing.backups)
    return worker
