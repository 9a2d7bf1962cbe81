"""Finds every stable code in the sources, also those that no class carries.

A code is what stands behind `code`: the keyword of a call, the key of a dict, a name that ends with it.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

WITHOUT_CLASS = {
    "batch.items-failed": ("-", "failed", "Some items of a batch did not succeed; each says why."),
    "cluster.access-refused": (
        "403",
        "rejected",
        "A service that has nothing to do with hosts asked for a cluster's access.",
    ),
    "cluster.certificate-changed": (
        "-",
        "outage",
        "The cluster shows another certificate than the pinned one.",
    ),
    "cluster.no-answer": ("-", "outage", "The cluster takes connections and does not answer."),
    "cluster.no-quorum": ("-", "outage", "The cluster has no quorum: it can be read, not changed."),
    "cluster.not-understood": ("-", "outage", "What the cluster answers can't be used."),
    "job.dropped": (
        "-",
        "failed",
        "The job was accepted before Slipway was paused, and was not named when it was resumed.",
    ),
    "method.not-allowed": ("405", "rejected", "This path does not take this method; `Allow` says which."),
    "monitor.silent": (
        "-",
        "outage",
        "The service monitor tells nothing; what is shown is as old as it says.",
    ),
    "node.appliances-unknown": ("-", "outage", "The node does not list the templates it can download."),
    "node.gone": ("-", "outage", "The node has left its cluster, or was renamed."),
    "node.networks-unknown": ("-", "outage", "The node does not list its bridges."),
    "node.no-answer": ("-", "outage", "The node is online but does not answer."),
    "node.offline": ("-", "outage", "The cluster calls the node offline."),
    "node.ssh-unusable": ("-", "outage", "The node can't be used over SSH."),
    "node.storages-unknown": (
        "-",
        "outage",
        "The node does not list its storages; the last known ones are shown.",
    ),
    "path.not-found": ("404", "rejected", "There is nothing at this path."),
    "proxmox.access-invalid": (
        "422",
        "rejected",
        "The way to a Proxmox can't be used as it was given: an address, a key, a fingerprint.",
    ),
    "proxmox.node-without-access": (
        "404",
        "rejected",
        "The cluster has no SSH address and host key of this node.",
    ),
    "request.invalid": ("422", "rejected", "The request is not as it must be; `errors` names each field."),
    "request.not-json": ("400", "rejected", "The body can't be read as JSON."),
    "request.too-large": ("413", "rejected", "The body is larger than a request may be."),
    "request.too-slow": ("408", "rejected", "The body did not come in time."),
    "service.starting": (
        "503",
        "unavailable",
        "The service is only just starting; `/readyz` says what it waits for.",
    ),
    "tls.missing": ("400", "rejected", "Plain HTTP was spoken at the port with TLS: write https://."),
}
"""What no class of an error says: HTTP status, kind (`outage` is that of a cluster or node) and meaning."""
CODE = re.compile(r"[a-z][a-z-]*\.[a-z][a-z-]*")


def said(package: Iterable[str]) -> set[str]:
    """Return all codes that the modules below the folders of a package use."""
    files = (file for folder in package for file in Path(folder).rglob("*.py"))
    return {code for file in files for code in _codes(ast.parse(file.read_text("utf-8")))}


def _codes(tree: ast.Module) -> Iterator[str]:
    for value in _values(tree):
        for node in ast.walk(value):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                yield node.value


def _values(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="code"):
                yield node.value
            case ast.Dict():
                named = zip(node.keys, node.values, strict=True)
                yield from (value for key, value in named if _is_code(key))
            case ast.Assign(targets=[target]) | ast.AnnAssign(target=target) if node.value and _is_code(
                target
            ):
                yield node.value


def _is_code(named: ast.expr | None) -> bool:
    match named:
        case ast.Constant(value=str(word)) | ast.Name(id=word) | ast.Attribute(attr=word):
            return bool(re.search(r"(^|_)codes?$", word.lower()))
        case ast.Tuple(elts=[first, *_]):
            return _is_code(first)
        case _:
            return False
