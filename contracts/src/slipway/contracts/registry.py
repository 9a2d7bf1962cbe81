"""Every message with its publishers or its askers: permissions, docs and tests derive from it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from slipway.contracts import (
    audit,
    batches,
    bulk,
    cluster_facts,
    cluster_removal,
    clusters,
    configs,
    container_events,
    containers,
    dead_letters,
    guests,
    health,
    host_state,
    job_events,
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
        job_events.JobAccepted: ("inventory",),
        container_events.ContainerRegistered: ("inventory",),
        container_events.ContainerReady: ("inventory",),
        container_events.ContainerFailed: ("inventory",),
        container_events.ContainerDeleted: ("inventory",),
        container_events.ContainerDiscovered: ("inventory",),
        container_events.ContainerForgotten: ("inventory",),
        container_events.ContainerFound: ("inventory",),
        container_events.ContainerChanged: ("inventory",),
        clusters.ClusterAdded: ("inventory",),
        clusters.ClusterChanged: ("inventory",),
        cluster_removal.ClusterRemoved: ("inventory",),
        jobs.RunRecord: ("provisioner",),
        job_events.JobPhase: ("provisioner",),
        job_events.JobStep: ("provisioner",),
        job_events.JobLog: ("provisioner",),
        job_events.JobProgress: ("provisioner",),
        job_events.JobDone: ("provisioner", "inventory"),
        batches.JobItem: ("inventory",),
        cluster_facts.NodeObserved: ("monitor",),
        guests.GuestChanged: ("monitor",),
        guests.GuestGone: ("monitor",),
        templates.TemplateServed: ("catalog",),
    }
)
"""The publishers of each stored message; `done` of a batch is inventory's, of a job the provisioner's."""

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
        audit.ListAudit: ("gateway",),
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
