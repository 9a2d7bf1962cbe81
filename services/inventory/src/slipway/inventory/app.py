"""Assembles inventory: the only module that knows all the others."""

from functools import partial
from pathlib import Path

from slipway.contracts import (
    audit,
    bulk,
    cluster_facts,
    cluster_removal,
    cluster_settings,
    clusters,
    configs,
    connections,
    containers,
    dead_letters,
    form_facts,
    guests,
    installation,
    job_logs,
    jobs,
    plans,
)
from slipway.inventory.acceptance import Acceptance
from slipway.inventory.audit import AuditStore
from slipway.inventory.batches.use_cases import BatchRequests
from slipway.inventory.clusters.connect import ClusterConnector
from slipway.inventory.clusters.fact_handlers import FactHandlers
from slipway.inventory.clusters.handlers import ClusterHandlers
from slipway.inventory.clusters.identity import ClusterIdentities
from slipway.inventory.clusters.settings import ClusterSettingsHandlers
from slipway.inventory.clusters.store import ClusterStore
from slipway.inventory.containers.create import Creations
from slipway.inventory.containers.handlers import ContainerHandlers
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.containers.looks import Looks
from slipway.inventory.containers.observations import ObservationStore
from slipway.inventory.containers.pages import ContainerPages
from slipway.inventory.containers.removal import ContainerRemovalStore
from slipway.inventory.containers.store import ContainerStore
from slipway.inventory.dead_letters import DeadLetterHandlers
from slipway.inventory.installation.gate import Gate
from slipway.inventory.installation.handlers import InstallationHandlers
from slipway.inventory.installation.second_copy import SecondCopy
from slipway.inventory.installation.store import COMMANDS_MAY_LEAVE
from slipway.inventory.job_logs.archive import JobLogArchiver
from slipway.inventory.job_logs.store import JobLogStore
from slipway.inventory.jobs.downloads import Downloads
from slipway.inventory.jobs.enqueuer import JobEnqueuer
from slipway.inventory.jobs.handlers import JobHandlers
from slipway.inventory.jobs.plans import PlanHandlers
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.scheduling import Limits
from slipway.inventory.jobs.use_cases import JobRequests
from slipway.inventory.jobs.views import JobViews
from slipway.inventory.retention.schedule import Retention
from slipway.inventory.retention.store import RetentionStore
from slipway.inventory.secrets.broker import SecretBroker
from slipway.inventory.secrets.resealing import Resealing
from slipway.inventory.settings import InventorySettings
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.client import Bus
from slipway.runtime.database import engine
from slipway.runtime.database.engine import Database
from slipway.runtime.database.outbox import Outbox
from slipway.runtime.process.interfaces import mac_addresses
from slipway.runtime.process.service import Service
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.secrets.vault import KeyRing, Vault

MIGRATIONS = Path(__file__).parent / "migrations"
LIMITS = Limits(jobs=8, creations=2)


def build() -> Service:
    """Build the service from its settings; opens nothing but the key ring."""
    settings = InventorySettings()
    bus = Bus(settings, service="inventory")
    tables = Database(settings)
    secret_broker = SecretBroker(Sealer(settings), Vault(KeyRing.from_file(settings.key_ring_file)))
    limits = Limits(jobs=settings.node_jobs, creations=settings.node_creations)
    gate, own = Gate(tables), mac_addresses()
    second_copy = SecondCopy(UnitOfWork(tables, JobEnqueuer(Queue(limits))), gate)
    looks = Looks(bus, second_copy.note)
    host_check = register(bus, tables, secret_broker, limits, looks=looks, own_addresses=own, gate=gate)
    service = Service("inventory", settings, bus)
    # Asks the database whether it answers, and whether Slipway is paused.
    service.ping("postgres", gate.load)
    service.background("outbox", Outbox(tables, bus, commands_while=COMMANDS_MAY_LEAVE).run)
    service.background("logs", JobLogArchiver(bus, JobLogStore(tables)).run)
    old = Retention(RetentionStore(tables), jobs=settings.job_retention, audit=settings.audit_retention)
    service.background("retention", partial(old.run, gate.is_paused))
    service.background("resealing", Resealing(tables, secret_broker.vault).run)
    service.background("forgotten", host_check.run)
    service.background("looks", looks.run)
    service.background("second copy", second_copy.run)
    service.report_shortages(gate.shortages)
    service.on_stop(tables.dispose)
    return service


def register(
    bus: Bus,
    tables: Database,
    secret_broker: SecretBroker,
    limits: Limits = LIMITS,
    *,
    looks: Looks,
    own_addresses: frozenset[str] = frozenset(),
    gate: Gate | None = None,
) -> HostCheck:
    """Register which handler answers which subject; return what looks for forgotten containers.

    `own_addresses` has the MACs of the container that Slipway itself runs in.
    """
    queue = Queue(limits)
    unit = UnitOfWork(tables, JobEnqueuer(queue, bus.refuse_new_work, own_addresses))
    gate = gate or Gate(tables)
    bus.guard(gate.refuse_while_paused)
    of_installation = InstallationHandlers(database=tables, unit=unit, looks=looks, gate=gate)
    bus.answer(installation.GetInstallation, of_installation.get)
    bus.answer(installation.PlanResume, of_installation.plan)
    bus.answer(installation.ResumeInstallation, of_installation.resume)
    cluster_store, container_store = ClusterStore(tables), ContainerStore(tables)
    job_views = JobViews(tables, queue)
    records = Records(bus, unit)
    host_check = HostCheck(bus, unit, ContainerRemovalStore(tables), records)
    acceptance = Acceptance(unit, records, host_check)
    creations = Creations(bus, cluster_store, secret_broker)
    requests = JobRequests(
        clusters=cluster_store,
        containers=container_store,
        jobs=job_views,
        records=records,
        host_check=host_check,
        secret_broker=secret_broker,
    )
    batches = BatchRequests(bus=bus, database=tables, unit=unit, creations=creations, records=records)
    of_clusters = ClusterHandlers(
        bus=bus,
        unit=unit,
        store=cluster_store,
        identities=ClusterIdentities(tables),
        records=records,
        secret_broker=secret_broker,
        looks=looks,
    )
    of_containers = ContainerHandlers(
        unit=unit,
        containers=container_store,
        pages=ContainerPages(tables),
        observations=ObservationStore(tables, queue),
        records=records,
        host_check=host_check,
        secret_broker=secret_broker,
        looks=looks,
    )
    of_jobs = JobHandlers(
        unit=unit,
        jobs=job_views,
        batches=batches,
        records=records,
        secret_broker=secret_broker,
    )
    of_plans = PlanHandlers(
        bus=bus,
        acceptance=acceptance,
        clusters=cluster_store,
        creations=creations,
        requests=requests,
        batches=batches,
    )
    of_settings = ClusterSettingsHandlers(unit=unit, store=cluster_store)
    _answer_about_clusters(bus, of_clusters)
    _answer_about_facts(bus, FactHandlers(database=tables, unit=unit, store=cluster_store, looks=looks))
    bus.answer(cluster_settings.GetClusterLimits, of_settings.limits)
    bus.answer(cluster_settings.SetClusterLimits, of_settings.set_limits)
    bus.answer(cluster_settings.GetSiteDefaults, of_settings.defaults)
    bus.answer(cluster_settings.SetSiteDefaults, of_settings.set_defaults)
    _answer_about_containers(bus, of_containers)
    bus.answer(containers.CreateContainer, acceptance.handler("container.create", creations.propose))
    bus.answer(containers.DeleteContainer, acceptance.handler("container.delete", requests.propose_deletion))
    downloads = Downloads(cluster_store)
    bus.answer(form_facts.DownloadOsTemplate, acceptance.handler("os-template.download", downloads.propose))
    _answer_about_jobs(bus, of_jobs)
    bus.answer(jobs.ListJobs, job_views.list)
    bus.answer(jobs.RetryJob, acceptance.handler("job.retry", requests.propose_retry))
    bus.answer(
        jobs.RequestJob,
        lambda request, call: acceptance.accept(call, str(request.kind), request, requests.propose),
    )
    bus.answer(bulk.RequestBatch, acceptance.handler("batch.request", batches.propose))
    bus.answer(bulk.CreateContainers, acceptance.handler("batch.create", batches.propose_many))
    bus.answer(bulk.RetryBatch, acceptance.handler("batch.retry", batches.propose_retry))
    bus.answer(bulk.PlanBatch, batches.plan)
    bus.answer(bulk.PlanBatchRetry, batches.plan)
    bus.answer(bulk.PlanBatchCancel, batches.plan_cancel)
    bus.answer(plans.PlanJob, of_plans.plan)
    of_dead_letters = DeadLetterHandlers(bus, unit)
    bus.answer(dead_letters.ReplayDeadLetter, of_dead_letters.replay)
    bus.answer(dead_letters.DropDeadLetter, of_dead_letters.drop)
    bus.answer(job_logs.GetJobLog, JobLogStore(tables).part)
    bus.answer(audit.ListAudit, AuditStore(tables).list)
    return host_check


def _answer_about_clusters(bus: Bus, handlers: ClusterHandlers) -> None:
    bus.answer(clusters.AddCluster, handlers.add)
    bus.answer(clusters.CheckCluster, handlers.check)
    bus.answer(connections.ConnectCluster, ClusterConnector(handlers).connect)
    bus.answer(clusters.GetCluster, handlers.get)
    bus.answer(clusters.ListClusters, handlers.list)
    bus.answer(cluster_removal.RemoveCluster, handlers.remove)
    bus.answer(clusters.GetClusterAccess, handlers.access)
    bus.answer(clusters.SetMaintenance, handlers.maintain)
    bus.answer(clusters.SetVmidRange, handlers.set_vmids)
    bus.answer(clusters.ConfirmHostKey, handlers.confirm)
    bus.answer(clusters.ChangeClusterAccess, handlers.change_access)
    bus.consume(cluster_facts.NodeObserved, handlers.node_observed, durable="inventory-nodes")


def _answer_about_facts(bus: Bus, handlers: FactHandlers) -> None:
    bus.answer(form_facts.GetFormFacts, handlers.facts)
    bus.answer(form_facts.GetNextVmid, handlers.next_vmid)
    bus.answer(form_facts.CheckAvailability, handlers.check)
    bus.answer(form_facts.RequestFacts, handlers.request)


def _answer_about_containers(bus: Bus, handlers: ContainerHandlers) -> None:
    bus.answer(containers.ForgetContainer, handlers.forget)
    bus.answer(containers.GetContainer, handlers.get)
    bus.answer(containers.ListContainers, handlers.list)
    bus.answer(containers.RevealCredential, handlers.reveal)
    bus.answer(containers.StoreDiscovery, handlers.discovered)
    bus.answer(configs.StoreConfig, handlers.config_read)
    bus.consume(guests.GuestChanged, handlers.guest_changed, durable="inventory-guests")
    bus.consume(guests.GuestGone, handlers.guest_gone, durable="inventory-guests")


def _answer_about_jobs(bus: Bus, handlers: JobHandlers) -> None:
    bus.answer(jobs.GetJob, handlers.get)
    bus.answer(jobs.RequestCancel, handlers.cancel)
    bus.answer(jobs.GetJobSecrets, handlers.secrets)
    bus.answer(jobs.ReplaceVmid, handlers.replace_vmid)
    bus.consume(jobs.RunRecord, handlers.record_written, durable="inventory-records")


async def migrate() -> None:
    """Bring the schema up to date."""
    await engine.migrate(InventorySettings(), MIGRATIONS)
