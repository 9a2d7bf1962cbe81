"""Assembles inventory: the only module that knows all the others."""

from pathlib import Path

from slipway.contracts import (
    bulk,
    cluster_removal,
    clusters,
    configs,
    containers,
    dead_letters,
    guests,
    job_logs,
    jobs,
    plans,
)
from slipway.inventory.audit import AuditStore
from slipway.inventory.batches.handlers import BatchHandlers
from slipway.inventory.batches.retry import BatchRetries
from slipway.inventory.batches.store import BatchStore
from slipway.inventory.clusters.access import AccessStore
from slipway.inventory.clusters.handlers import ClusterHandlers
from slipway.inventory.clusters.identity import ClusterIdentities
from slipway.inventory.clusters.removal import RemovalStore
from slipway.inventory.clusters.store import ClusterStore
from slipway.inventory.containers.config_store import ConfigStore
from slipway.inventory.containers.handlers import ContainerHandlers
from slipway.inventory.containers.host_check import HostCheck, PlanningHostCheck
from slipway.inventory.containers.looks import Looks
from slipway.inventory.containers.observations import ObservationStore
from slipway.inventory.containers.removal import ContainerRemovalStore
from slipway.inventory.containers.store import ContainerStore
from slipway.inventory.containers.vmids import VmidStore
from slipway.inventory.dead_letters import DeadLetterHandlers
from slipway.inventory.job_logs.archive import JobLogArchiver
from slipway.inventory.job_logs.store import JobLogStore
from slipway.inventory.jobs.accept import AcceptanceStore
from slipway.inventory.jobs.clone import CopyStore
from slipway.inventory.jobs.enqueuer import JobEnqueuer, PlanningEnqueuer
from slipway.inventory.jobs.handlers import JobHandlers
from slipway.inventory.jobs.plans import PlanHandlers
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.scheduling import Limits
from slipway.inventory.jobs.store import JobStore
from slipway.inventory.retention.schedule import Retention
from slipway.inventory.retention.store import RetentionStore
from slipway.inventory.secrets.broker import SecretBroker
from slipway.inventory.secrets.resealing import Resealing
from slipway.inventory.secrets.resealing_store import ResealingStore
from slipway.inventory.settings import InventorySettings
from slipway.runtime.bus.client import Bus
from slipway.runtime.database import engine
from slipway.runtime.database.engine import Database
from slipway.runtime.database.outbox import Outbox
from slipway.runtime.process.host_access import NONE, HostAccessPolicy
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
    looks = Looks(bus)
    host_check = register(bus, tables, secret_broker, limits, settings.host_access, looks=looks)
    service = Service("inventory", settings, bus)
    service.ping("postgres", tables.ping)
    service.background("outbox", Outbox(tables, bus).run)
    service.background("logs", JobLogArchiver(bus, JobLogStore(tables)).run)
    old = Retention(RetentionStore(tables), jobs=settings.job_retention, audit=settings.audit_retention)
    service.background("retention", old.run)
    service.background("resealing", Resealing(ResealingStore(tables), secret_broker.vault).run)
    service.background("forgotten", host_check.run)
    service.background("looks", looks.run)
    service.on_stop(tables.dispose)
    return service


def register(
    bus: Bus,
    tables: Database,
    secret_broker: SecretBroker,
    limits: Limits = LIMITS,
    host_access: HostAccessPolicy = NONE,
    *,
    looks: Looks,
) -> HostCheck:
    """Say which handler answers which subject; returns what looks for forgotten containers."""
    queue = Queue(tables, limits)
    parts = _Parts(bus, tables, secret_broker, queue, host_access, looks=looks)
    of_clusters = ClusterHandlers(
        bus=bus,
        store=ClusterStore(tables),
        reached=AccessStore(tables),
        identities=ClusterIdentities(tables),
        removals=RemovalStore(tables),
        records=Records(bus, JobStore(tables, queue)),
        queue=queue,
        audit=AuditStore(tables),
        secret_broker=secret_broker,
        looks=looks,
    )
    enqueuer = JobEnqueuer(queue, bus.refuse_new_work)
    of_containers, of_jobs = parts.of_containers(enqueuer), parts.of_jobs(enqueuer)
    of_batches = parts.of_batches(enqueuer, of_containers)
    planned = _Parts(
        bus, tables, secret_broker, queue, host_access, looks=looks, host_check=PlanningHostCheck
    )
    planning = PlanningEnqueuer(queue)
    of_creations = planned.of_containers(planning)
    of_plans = PlanHandlers(
        bus,
        ClusterStore(tables),
        containers=of_creations,
        jobs=planned.of_jobs(planning),
        batches=planned.of_batches(planning, of_creations),
    )
    of_dead_letters = DeadLetterHandlers(bus, AuditStore(tables))
    bus.answer(plans.PlanJob, of_plans.plan)
    bus.answer(dead_letters.ReplayDeadLetter, of_dead_letters.replay)
    bus.answer(dead_letters.DropDeadLetter, of_dead_letters.drop)
    bus.answer(clusters.AddCluster, of_clusters.add)
    bus.answer(clusters.GetCluster, of_clusters.get)
    bus.answer(clusters.ListClusters, of_clusters.list)
    bus.answer(cluster_removal.RemoveCluster, of_clusters.remove)
    bus.answer(clusters.GetClusterAccess, of_clusters.access)
    bus.answer(clusters.ListAudit, of_clusters.audit)
    _answer_about_containers(bus, of_containers)
    bus.answer(jobs.GetJob, of_jobs.get)
    bus.answer(jobs.ListJobs, of_jobs.list)
    bus.answer(job_logs.GetJobLog, JobLogStore(tables).part)
    bus.answer(jobs.RetryJob, of_jobs.retry)
    bus.answer(jobs.RequestJob, of_jobs.request)
    bus.answer(jobs.RequestCancel, of_jobs.cancel)
    bus.answer(bulk.RequestBatch, of_batches.request)
    bus.answer(bulk.PlanBatch, of_batches.plan)
    bus.answer(bulk.CreateContainers, of_batches.create)
    bus.answer(bulk.RetryBatch, of_batches.retry)
    bus.answer(bulk.PlanBatchRetry, of_batches.plan_retry)
    bus.answer(bulk.PlanBatchCancel, of_batches.plan_cancel)
    bus.answer(clusters.SetMaintenance, of_clusters.maintain)
    bus.answer(clusters.SetVmidRange, of_clusters.set_vmids)
    bus.answer(clusters.ConfirmHostKey, of_clusters.confirm)
    bus.answer(clusters.ChangeClusterAccess, of_clusters.change_access)
    bus.answer(jobs.GetJobSecrets, of_jobs.secrets)
    bus.answer(jobs.ReplaceVmid, of_jobs.replace_vmid)
    bus.consume(jobs.RunRecord, of_jobs.record_written, durable="inventory-records")
    bus.consume(clusters.NodeObserved, of_clusters.node_observed, durable="inventory-nodes")
    bus.consume(guests.GuestChanged, of_containers.guest_changed, durable="inventory-guests")
    bus.consume(guests.GuestGone, of_containers.guest_gone, durable="inventory-guests")
    return parts.host_check


def _answer_about_containers(bus: Bus, of_containers: ContainerHandlers) -> None:
    bus.answer(containers.CreateContainer, of_containers.create)
    bus.answer(containers.DeleteContainer, of_containers.delete)
    bus.answer(containers.ForgetContainer, of_containers.forget)
    bus.answer(containers.GetContainer, of_containers.get)
    bus.answer(containers.ListContainers, of_containers.list)
    bus.answer(containers.RevealCredential, of_containers.reveal)
    bus.answer(containers.StoreDiscovery, of_containers.discovered)
    bus.answer(configs.StoreConfig, of_containers.config_read)


class _Parts:
    """Makes the handlers that accept jobs: once for real, once for plans."""

    def __init__(
        self,
        bus: Bus,
        tables: Database,
        secret_broker: SecretBroker,
        queue: Queue,
        host_access: HostAccessPolicy,
        *,
        looks: Looks,
        host_check: type[HostCheck] = HostCheck,
    ) -> None:
        self._bus = bus
        self._tables = tables
        self._secret_broker = secret_broker
        self._host_access = host_access
        self._looks = looks
        self._jobs = JobStore(tables, queue)
        self._observations = ObservationStore(tables, queue)
        self._records = Records(bus, self._jobs)
        self.host_check = host_check(bus, ContainerRemovalStore(tables), self._records)

    def of_containers(self, enqueuer: JobEnqueuer) -> ContainerHandlers:
        return ContainerHandlers(
            bus=self._bus,
            clusters=ClusterStore(self._tables),
            acceptance=AcceptanceStore(self._tables, enqueuer),
            containers=ContainerStore(self._tables),
            configs=ConfigStore(self._tables),
            observations=self._observations,
            records=self._records,
            host_check=self.host_check,
            secret_broker=self._secret_broker,
            looks=self._looks,
            host_access=self._host_access,
        )

    def of_jobs(self, enqueuer: JobEnqueuer) -> JobHandlers:
        return JobHandlers(
            acceptance=AcceptanceStore(self._tables, enqueuer),
            copies=CopyStore(self._tables, enqueuer),
            clusters=ClusterStore(self._tables),
            containers=ContainerStore(self._tables),
            jobs=self._jobs,
            vmids=VmidStore(self._tables),
            batches=BatchStore(self._tables, enqueuer),
            records=self._records,
            host_check=self.host_check,
            secret_broker=self._secret_broker,
            host_access=self._host_access,
        )

    def of_batches(self, enqueuer: JobEnqueuer, of_containers: ContainerHandlers) -> BatchHandlers:
        batches, retries = BatchStore(self._tables, enqueuer), BatchRetries(self._tables, enqueuer)
        return BatchHandlers(
            bus=self._bus,
            batches=batches,
            retries=retries,
            records=self._records,
            prepare=of_containers.prepare,
            host_access=self._host_access,
        )


async def migrate() -> None:
    """Bring the schema up to date."""
    await engine.migrate(InventorySettings(), MIGRATIONS)
