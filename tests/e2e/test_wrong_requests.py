"""Wrong requests are refused with the field's name, and nothing is made."""

from typing import Any

import httpx
import pytest

from support.stack import RunningStack

NETWORK = "networks.0"
MOUNT_WITH_DOTS = {"mounts": [{"storage": "local-lvm", "size": 1, "path": "/a/../b"}]}
WRONG: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("unknown template", {"template": "no-such"}, "template"),
    ("nothing to build from", {"template": None}, "template"),
    ("bad hostname", {"hostname": "under_score"}, "hostname"),
    ("hostname that ends in a hyphen", {"hostname": "web-"}, "hostname"),
    ("shell in the hostname", {"hostname": "$(reboot)"}, "hostname"),
    ("unknown cluster", {"cluster": "no-such"}, "cluster"),
    ("unknown node", {"node": "no-such"}, "node"),
    ("vmid too small", {"vmid": 7}, "vmid"),
    ("empty ip", {"networks": [{"ip": ""}]}, f"{NETWORK}.ip"),
    ("missing prefix", {"networks": [{"ip": "10.0.0.5"}]}, f"{NETWORK}.ip"),
    ("comma in ip", {"networks": [{"ip": "10.0.0.5/24,gw=1.1.1.1"}]}, f"{NETWORK}.ip"),
    ("gateway of IPv6", {"networks": [{"ip": "10.0.0.5/24", "gw": "fd00::1"}]}, f"{NETWORK}.gw"),
    ("dhcp with gateway", {"networks": [{"ip": "dhcp", "gw": "10.0.0.1"}]}, f"{NETWORK}.gw"),
    ("unknown bridge", {"networks": [{"bridge": "vmbr99"}]}, f"{NETWORK}.bridge"),
    ("shell in the name of a device", {"networks": [{"name": "eth0;reboot"}]}, f"{NETWORK}.name"),
    ("storage without disks", {"storage": "backup"}, "storage"),
    ("unknown storage", {"storage": "no-such"}, "storage"),
    ("memory 0", {"memory": 0}, "memory"),
    ("cores that are text", {"cores": "many"}, "cores"),
    ("newline in nameserver", {"nameserver": "1.1.1.1\nreboot"}, "nameserver"),
    ("nameserver with shell", {"nameserver": "$(reboot)"}, "nameserver"),
    ("tag with semicolon", {"tags": ["a;b"]}, "tags.0"),
    ("tag with newline", {"tags": ["a\nb"]}, "tags.0"),
    ("package with shell", {"packages": [{"names": ["nginx;reboot"]}]}, "packages.0.names.0"),
    ("package with newline", {"packages": [{"names": ["nginx\nreboot"]}]}, "packages.0.names.0"),
    ("unknown script", {"scripts": ["../../etc/passwd"]}, "scripts.0"),
    ("guest path with dots", MOUNT_WITH_DOTS, "mounts.0.path"),
    ("bind mount", {"mounts": [{"storage": "/etc", "path": "/mnt"}]}, "mounts.0.storage"),
    ("device", {"devices": ["/dev/kvm"]}, "devices"),
    ("unknown variable", {"variables": {"nope": "1"}}, "variables.nope"),
    ("unknown field", {"memroy": 512}, "memroy"),
    ("unknown field inside", {"networks": [{"adress": "x"}]}, f"{NETWORK}.adress"),
    ("NUL", {"description": "a\0b"}, "description"),
    ("short password", {"password": "abc"}, "password"),
)  # fmt: skip


@pytest.fixture
async def nothing_is_made(stack: RunningStack, api: httpx.AsyncClient) -> Any:
    """After the test, there is no container and no job more than before."""
    before = [await listed(api, path) for path in ("containers", "jobs")]
    creations = stack.record.read_text().count('"POST"')
    yield
    assert [await listed(api, path) for path in ("containers", "jobs")] == before
    assert stack.record.read_text().count('"POST"') == creations


@pytest.mark.usefixtures("nothing_is_made")
@pytest.mark.parametrize(("body", "field"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
async def test_wrong_creation(api: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    """A creation with one wrong field names it."""
    right = {"template": "debian-base", "hostname": "never-made"}

    answer = await api.post("/api/v1/containers", json={**right, **body})

    problem = answer.json()
    assert answer.is_client_error, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["correlation_id"] == answer.headers["x-correlation-id"]
    assert field in [each["field"] for each in problem["errors"]], answer.text


@pytest.mark.usefixtures("nothing_is_made")
@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", httpx.codes.BAD_REQUEST),
        (b"[]", httpx.codes.UNPROCESSABLE_ENTITY),
        (b"", httpx.codes.UNPROCESSABLE_ENTITY),
        (b'{"hostname": "\xff"}', httpx.codes.BAD_REQUEST),
        (
            b'{"hostname": "a", "template": "' + b"x" * 10_000_000 + b'"}',
            httpx.codes.REQUEST_ENTITY_TOO_LARGE,
        ),
        (b"[" * 100_000, httpx.codes.BAD_REQUEST),
    ],
    ids=["cut off", "list", "empty", "not utf-8", "10 MB", "deep"],
)
async def test_wrong_body(api: httpx.AsyncClient, content: bytes, status: int) -> None:
    """A body that can't be read is reported as such."""
    answer = await api.post(
        "/api/v1/containers", content=content, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == status, answer.text
    assert answer.json()["code"]


@pytest.mark.parametrize(
    "path", ["containers", "jobs", "clusters", "templates", "audit", "events", "openapi.json"]
)
async def test_nothing_is_open(stack: RunningStack, path: str) -> None:
    """Without a token, or with a wrong one, nothing below the API answers."""
    for token in ("", "wrong"):
        async with stack.client(token=token) as stranger:
            answer = await stranger.get(f"/api/v1/{path}")
        assert answer.status_code == httpx.codes.UNAUTHORIZED
        assert answer.json()["code"].startswith("auth.")


@pytest.mark.parametrize(
    "path", ["containers/none", "jobs/none", "jobs/none/events", "jobs/UPPER", "clusters/none", "nothing"]
)
async def test_unknown_things(api: httpx.AsyncClient, path: str) -> None:
    """What is not there is 404, as a problem."""
    answer = await api.get(f"/api/v1/{path}")

    assert answer.status_code == httpx.codes.NOT_FOUND
    assert answer.json()["message"]


async def listed(api: httpx.AsyncClient, path: str) -> list[str]:
    """Return the ids of a list."""
    return [each["id"] for each in (await api.get(f"/api/v1/{path}", params={"limit": 1000})).json()["items"]]
