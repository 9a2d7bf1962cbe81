"""Every message, with who says it and who may ask: what permissions, docs and tests are made from."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from slipway.contracts import (
    batches,
    bulk,
    cluster_removal,
    clusters,
    configs,
    containers,
    dead_letters,
    guests,
    health,
    host_state,
    job_logs,
    jobs,
    plans,
    templates,
)
from slipway.contracts.message import Message, Query

SERVICES: tuple[str, ...] = ("gateway", "inventory", "provisioner", "monitor", "catalog")

PUBLISHERS: Mapping[type[Message], tuple[str, ...]] = MappingProxyType(
    {
        jobs.RunJob: ("inventory",),
        jobs.CancelJob: ("inventory",),
        jobs.JobAccepted: ("inventory",),
        containers.ContainerRegistered: ("inventory",),
        containers.ContainerReady: ("inventory",),
        containers.ContainerFailed: ("inventory",),
        containers.ContainerDeleted: ("inventory",),
        containers.ContainerDiscovered: ("inventory",),
        containers.ContainerForgotten: ("inventory",),
        containers.ContainerFound: ("inventory",),
        containers.ContainerChanged: ("inventory",),
        clusters.ClusterAdded: ("inventory",),
        clusters.ClusterChanged: ("inventory",),
        cluster_removal.ClusterRemoved: ("inventory",),
        jobs.RunRecord: ("provisioner",),
        jobs.JobPhase: ("provisioner",),
        jobs.JobStep: ("provisioner",),
        jobs.JobLog: ("provisioner",),
        jobs.JobProgress: ("provisioner",),
        jobs.JobDone: ("provisioner", "inventory"),
        batches.JobItem: ("inventory",),
        clusters.NodeObserved: ("monitor",),
        guests.GuestChanged: ("monitor",),
        guests.GuestGone: ("monitor",),
        templates.TemplateServed: ("catalog",),
    }
)
"""Who says each stored message; `done` of a batch is inventory's, of every other job the provisioner's."""

ASKERS: Mapping[type[Query[Any]], tuple[str, ...]] = MappingProxyType(
    {
        containers.CreateContainer: ("gateway",),
        containers.GetContainer: ("gateway",),
        containers.ListContainers: ("gateway", "monitor"),
        containers.DeleteContainer: ("gateway",),
        containers.RevealCredential: ("gateway",),
        containers.StoreDiscovery: ("monitor",),
        configs.StoreConfig: ("monitor",),
        jobs.GetJob: ("gateway",),
        containers.ForgetContainer: ("gateway",),
        jobs.ListJobs: ("gateway",),
        job_logs.GetJobLog: ("gateway",),
        jobs.RetryJob: ("gateway",),
        jobs.RequestJob: ("gateway",),
        jobs.RequestCancel: ("gateway",),
        dead_letters.ReplayDeadLetter: ("gateway",),
        dead_letters.DropDeadLetter: ("gateway",),
        dead_letters.HandleAgain: ("inventory",),
        plans.PlanJob: ("gateway",),
        plans.ExplainRun: ("inventory",),
        bulk.RequestBatch: ("gateway",),
        bulk.PlanBatch: ("gateway",),
        bulk.CreateContainers: ("gateway",),
        bulk.RetryBatch: ("gateway",),
        bulk.PlanBatchRetry: ("gateway",),
        bulk.PlanBatchCancel: ("gateway",),
        clusters.SetMaintenance: ("gateway",),
        clusters.SetVmidRange: ("gateway",),
        clusters.ConfirmHostKey: ("gateway",),
        clusters.ChangeClusterAccess: ("gateway",),
        cluster_removal.RemoveCluster: ("gateway",),
        jobs.GetJobSecrets: ("provisioner",),
        jobs.ReplaceVmid: ("provisioner",),
        clusters.AddCluster: ("gateway",),
        clusters.GetCluster: ("gateway",),
        clusters.ListClusters: ("gateway", "monitor"),
        clusters.ListAudit: ("gateway",),
        clusters.GetClusterAccess: ("provisioner", "monitor"),
        clusters.TestCluster: ("inventory",),
        guests.DiscoverGuest: ("provisioner",),
        host_state.GetGuard: ("inventory",),
        host_state.CheckJob: ("inventory",),
        host_state.CheckVmid: ("inventory",),
        host_state.ListSnapshots: ("gateway",),
        host_state.ListBackups: ("gateway",),
        templates.ListTemplates: ("gateway",),
        templates.GetTemplate: ("gateway", "inventory"),
        health.GetInventoryHealth: ("gateway",),
        health.GetProvisionerHealth: ("gateway",),
        health.GetMonitorHealth: ("gateway",),
        health.GetCatalogHealth: ("gateway",),
    }
)
"""Who may ask each query; it is answered by the service named in its subject."""

MESSAGES: tuple[type[Message], ...] = (*PUBLISHERS, *ASKERS)
