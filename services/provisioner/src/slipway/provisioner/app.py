"""Assembles the provisioner: the only module that knows all the others."""

from slipway.contracts.connections import GetAccessScript, MakeNodeAccess, RemoveNodeAccess
from slipway.contracts.host_state import CheckJob, CheckVmid, GetGuard, ListBackups, ListSnapshots
from slipway.contracts.jobs import CancelJob, RunJob
from slipway.contracts.plans import ExplainRun
from slipway.provisioner.access import Access
from slipway.provisioner.bundle import BundleCache
from slipway.provisioner.cluster_access.maker import AccessMaker
from slipway.provisioner.dry_run.explainer import Explainer
from slipway.provisioner.engine.records import Runs
from slipway.provisioner.engine.worker import Worker
from slipway.provisioner.host.work import Work
from slipway.provisioner.host_queries import HostQueries
from slipway.provisioner.preparation import Preparation
from slipway.provisioner.settings import ProvisionerSettings
from slipway.provisioner.workflow import container_workflow
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


def register(bus: Bus, settings: ProvisionerSettings, access: Access) -> Worker[Work]:
    """Register the handler of each command and query; the worker listens once the bus has started."""
    preparation = Preparation(bus, access, BundleCache(Bundles(bus)), Sealer(settings), settings.boot_wait)
    worker = Worker(
        bus,
        Runs(bus),
        container_workflow(preparation, settings.lock_wait),
        retry_budget=settings.step_retry_budget,
        log_limits=settings.log_limits,
    )
    bus.consume(RunJob, worker.run, durable="provisioner-run", slots=settings.run_slots)
    bus.answer(ExplainRun, Explainer(preparation).explain)
    bus.consume(CancelJob, worker.cancel, durable="provisioner-cancel")
    queries = HostQueries(access)
    bus.answer(GetGuard, queries.guard)
    bus.answer(CheckJob, queries.check)
    bus.answer(CheckVmid, queries.vmid)
    bus.answer(ListSnapshots, queries.snapshots)
    bus.answer(ListBackups, queries.backups)
    maker = AccessMaker(Sealer(settings))
    bus.answer(MakeNodeAccess, maker.make)
    bus.answer(RemoveNodeAccess, maker.remove)
    bus.answer(GetAccessScript, maker.script)
    return worker
