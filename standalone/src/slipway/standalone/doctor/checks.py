"""All checks by their names, in the order in which they are printed."""

from collections.abc import Mapping
from types import MappingProxyType

from slipway.standalone.doctor import files, running, servers
from slipway.standalone.doctor.findings import Check

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "data-folder": files.data_folder,
        "secret-files": files.secret_files,
        "disk": files.disk,
        "key-ring": files.key_ring,
        "versions": running.versions,
        "services": running.services,
        "port": servers.port,
        "postgres": servers.postgres,
        "migrations": servers.migrations,
        "sealed-secrets": servers.sealed_secrets,
        "bus": servers.bus,
        "streams": servers.fill,
        "dead-letters": servers.dead_letters,
        "certificate": running.certificate,
        "clusters": running.clusters,
        "clock": running.clock,
    }
)
