"""Who may ask what, and how a wrong request is answered. One gateway serves all tests of this module."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from slipway.contracts.containers import CreateContainer, DeleteContainer, ListContainers
from slipway.contracts.job_kinds import REQUESTED, JobKind
from slipway.contracts.jobs import ListJobs, RequestCancel
from slipway.contracts.values import ContainerSort, ContainerView, JobState, Lifecycle, Power
from slipway.gateway.app import MIGRATIONS
from slipway.runtime.process.service import Service
from slipway.runtime.topology import reconcile
from support.clients import http_client
from support.folders import open_folder
from support.gateway_side import PASSWORD, TOKEN, Others, answering_others, running_gateway, url_of
from support.nats import SMALL, nats_connection, running_nats, started_buses
from support.postgres import Databases

LONG = "a" * 3000
JSON = {"Content-Type": "application/json"}
WEB = {"template": "nginx-site", "hostname": "web"}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    _databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Service, Others]]:
    """A running gateway, and the services that it asks."""
    database = await _databases.make("gateway", MIGRATIONS)
    folder = tmp_path_factory.mktemp("gateway")
    with open_folder("nats", in_memory=True) as nats_folder, running_nats(nats_folder) as server:
        async with nats_connection(server) as admin, started_buses(server) as make_bus:
            await reconcile.apply(admin, SMALL)
            others = await answering_others(make_bus, folder)
            async with running_gateway(database, server, others, folder) as service:
                yield service, others


@pytest.fixture
def others(shared: tuple[Service, Others]) -> Others:
    """The services that the gateway asks; nobody asked them yet."""
    others = shared[1]
    others.asked.clear()
    others.refusal = Others.refusal
    return others


@pytest_asyncio.fixture(loop_scope="module")
async def anyone(shared: tuple[Service, Others]) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a token."""
    async with http_client(base_url=url_of(shared[0]), timeout=10) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def user(anyone: httpx.AsyncClient) -> httpx.AsyncClient:
    """Somebody with the token."""
    anyone.headers["Authorization"] = f"Bearer {TOKEN}"
    return anyone


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": "slipway-session=x"}])
async def test_nothing_below_the_api_is_open(anyone: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Without a token, or with a wrong one, everything is 401, also what does not exist."""
    things = "version containers clusters jobs jobs/job-1/events templates audit events session x"
    for thing in things.split():
        answer = await anyone.get(f"/api/v1/{thing}", headers=headers)

        assert answer.status_code == httpx.codes.UNAUTHORIZED
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]


async def test_page_and_health_are_open(anyone: httpx.AsyncClient) -> None:
    """The page's files hold nothing; they are served with a strict policy."""
    page = await anyone.get("/")
    health = [(await anyone.get(path)).status_code for path in ("/livez", "/readyz")]

    assert health == [200, 200]
    assert page.status_code == httpx.codes.OK
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert page.headers["cache-control"] == "no-store"
    assert (await anyone.get("/assets/app.js")).headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    ["/assets/..%2fapp.py", "/assets/%00", f"/assets/{LONG}", "/assets/", "/assets/views", "/no"],
)
async def test_only_files_of_the_page_are_served(anyone: httpx.AsyncClient, path: str) -> None:
    """A path out of the folder, or that no file can have, is not found."""
    answer = await anyone.get(path)

    assert answer.status_code == httpx.codes.NOT_FOUND
    assert answer.json()["code"] == "path.not-found"


async def test_session_lasts_from_sign_in_to_sign_out(anyone: httpx.AsyncClient) -> None:
    """A browser signs in with the secret; a change needs the page's header; after sign-out it is nobody."""
    wrong = await anyone.post("/api/v1/session", json={"secret": "guess"})
    opened = await anyone.post("/api/v1/session", json={"secret": TOKEN})
    who = await anyone.get("/api/v1/session")
    forged = await anyone.post("/api/v1/containers", json=WEB)
    made = await anyone.post("/api/v1/containers", json=WEB, headers={"X-Slipway-Request": "1"})
    cookie = dict(anyone.cookies)
    left = await anyone.delete("/api/v1/session", headers={"X-Slipway-Request": "1"})
    replayed = await anyone.get("/api/v1/session", cookies=cookie)

    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (401, "secret")
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
        assert part in opened.headers["set-cookie"]
    assert who.json() == {"actor": "bootstrap"}
    assert (forged.status_code, made.status_code, left.status_code) == (403, 202, 204)
    assert replayed.status_code == httpx.codes.UNAUTHORIZED


async def test_answers_are_nothing_else_than_they_say(user: httpx.AsyncClient) -> None:
    """No browser guesses a kind; the log, which guests write, may not act as the page."""
    paths = ("/", "/api/v1/version", "/api/v1/nothing", "/api/v1/jobs/job-1/log")
    answers = [await user.get(path) for path in paths]

    assert [answer.headers.get_list("x-content-type-options") for answer in answers] == [["nosniff"]] * 4
    assert answers[-1].headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in answers[-1].headers["content-security-policy"]


WRONG: list[tuple[Any, int, str | None]] = [
    ({**WEB, "memroy": 1}, 422, "memroy"),
    ({"template": "nginx-site"}, 422, "hostname"),
    ({**WEB, "hostname": "a.b"}, 422, "hostname"),
    ({**WEB, "memory": "much"}, 422, "memory"),
    ({**WEB, "vmid": 10**30}, 422, "vmid"),
    ({**WEB, "networks": [{"ipp": "dhcp"}]}, 422, "networks.0.ipp"),
    ({**WEB, "tags": ["a\0b"]}, 422, "tags.0"),
    ({**WEB, "description": "\ud800"}, 422, "description"),
    ({**WEB, "variables": {"nope": "x"}}, 422, "variables.nope"),
    ({**WEB, "on_failure": "explode"}, 422, "on_failure"),
    ([], 422, ""),
    ("web", 422, ""),
    (None, 422, ""),
    (b"{not json", 400, ""),
    (b'{"hostname": NaN, "disk": 1e999}', 422, "hostname"),
    (b"\xff\xfe{", 400, None),
    (b'{"vmid": ' + b"9" * 5000 + b"}", 400, None),
    (b"[" * 600 + b"]" * 600, 422, None),
    (b"[" * 100_000, 400, None),
]


@pytest.mark.parametrize(("body", "status", "field"), WRONG)
async def test_wrong_body_is_reported_with_its_field(
    user: httpx.AsyncClient, others: Others, body: Any, status: int, field: str | None
) -> None:
    """Whatever is sent, it is a 4xx problem that names what is wrong, and nothing is created."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    answer = await user.post(
        "/api/v1/containers", content=content, headers={"Content-Type": "application/json"}
    )

    problem = answer.json()
    assert answer.status_code == status, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "code", "message", "correlation_id", "errors"} <= set(
        problem
    )
    if field is not None:
        assert field in [each["field"] for each in problem["errors"]]


async def test_a_removal_says_of_what(user: httpx.AsyncClient) -> None:
    """Without the id, the script would take away what nobody has made."""
    answer = await user.post("/api/v1/clusters/script", json={"is_removal": True})

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert [each["field"] for each in answer.json()["errors"]] == ["id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("PATCH", "/api/v1/containers", 405),
        ("POST", "/api/v1/events", 405),
        ("POST", "/", 405),
        ("GET", "/api/v1/jobs/NOT-AN-ID", 404),
        ("GET", "/api/v1/jobs/NOT-AN-ID/events", 404),
        ("GET", "/api/v1/jobs/job-2/events", 404),
        ("GET", "/api/v1/jobs/job-2/log", 404),
        ("GET", "/api/v1/containers?limit=0", 422),
        ("GET", "/api/v1/containers?limit=99999999999999999999", 422),
        ("GET", "/api/v1/containers?q=%00", 422),
        ("GET", f"/api/v1/containers?cursor={'1' * 257}", 422),
        ("GET", "/api/v1/jobs?container=NOT-AN-ID", 422),
        ("GET", "/api/v1/jobs?state=finished", 422),
        ("GET", "/api/v1/jobs?kind=start", 422),
        ("GET", "/api/v1/jobs?stat=failed", 422),
        ("GET", "/api/v1/containers?power=on", 422),
        ("GET", "/api/v1/containers?lifecycle=gone", 422),
        ("GET", "/api/v1/containers?sort=name", 422),
        ("GET", "/api/v1/containers?nod=pve", 422),
        ("GET", "/api/v1/jobs/job-1/events?last_event_id=x", 422),
        ("GET", "/api/v1/clusters/%00", 404),
        ("GET", "/api/v1/clusters", 503),
    ],
)
async def test_wrong_request_is_a_problem(
    user: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """Paths, methods and parameters out of place, and a service that is away."""
    answer = await user.request(method, path)

    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status
    assert ("retry-after" in answer.headers) == (status == httpx.codes.SERVICE_UNAVAILABLE)
    assert ("allow" in answer.headers) == (status == httpx.codes.METHOD_NOT_ALLOWED)


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_large_body_is_refused(user: httpx.AsyncClient, *, is_chunked: bool) -> None:
    """More than 1 MiB is 413, whether its length is declared or not."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b" " * 65536

    content = pieces() if is_chunked else b" " * (10 * 1024 * 1024)
    answer = await user.post(
        "/api/v1/containers", content=content, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    assert answer.json()["code"] == "request.too-large"


async def test_creation_is_accepted_with_its_secrets_sealed(user: httpx.AsyncClient, others: Others) -> None:
    """Only inventory can read what is secret; actor, key and correlation id go along."""
    body = {**WEB, "password": "of root", "variables": {"title": "Hi", "key": "of the door"}}
    headers = {"Idempotency-Key": "once", "X-Correlation-Id": "trace-me"}

    answer = await user.post("/api/v1/containers", json=body, headers=headers)

    assert (answer.status_code, answer.headers["location"]) == (202, "/api/v1/jobs/job-1")
    assert answer.headers["x-correlation-id"] == "trace-me"
    asked, call = others.asked[0]
    assert isinstance(asked, CreateContainer)
    assert asked.password is not None
    assert asked.spec.variables == {"title": "Hi"}
    assert others.opened(asked.password, field="password") == "of root"
    assert others.opened(asked.secret_variables["key"], field="key") == "of the door"
    assert "of root" not in asked.model_dump_json()
    assert (call.actor, call.idempotency_key, call.correlation_id) == ("bootstrap", "once", "trace-me")


async def test_a_request_may_confirm_that_it_ends_slipway_itself(
    user: httpx.AsyncClient, others: Others
) -> None:
    """One word is known; another is refused and goes nowhere, as every odd header."""
    path = "/api/v1/containers/c-1"

    refused = await user.delete(path, headers={"Slipway-Confirm": "yes"})
    await user.delete(path)
    await user.delete(path, headers={"Slipway-Confirm": "self"})

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "Slipway-Confirm")
    assert [call.confirms_self for _, call in others.asked] == [False, True]


async def test_cancel_that_comes_too_late_is_a_deletion(user: httpx.AsyncClient, others: Others) -> None:
    """Whoever wants a container gone gets it gone, also if its creation ends in that very moment."""
    answer = await user.delete("/api/v1/containers/c-1?cancel=true")

    assert (answer.status_code, answer.headers["location"]) == (202, "/api/v1/jobs/job-2")
    assert [type(query) for query, _ in others.asked] == [RequestCancel, DeleteContainer]


async def test_cancel_that_is_refused_deletes_nothing(user: httpx.AsyncClient, others: Others) -> None:
    """A job past its point of no return goes on."""
    others.refusal = "job.not-cancellable"

    answer = await user.delete("/api/v1/containers/c-1?cancel=true")

    assert (answer.status_code, answer.json()["code"]) == (409, "job.not-cancellable")
    assert [type(query) for query, _ in others.asked] == [RequestCancel]


async def test_credential_is_revealed(user: httpx.AsyncClient) -> None:
    """A sealed credential is opened for whoever asks, and stored by nobody on the way."""
    answer = await user.post("/api/v1/containers/c-1/credentials/cred-1/reveal")

    assert answer.json() == {"id": "cred-1", "name": "root/password", "value": PASSWORD}
    assert answer.headers["cache-control"] == "no-store"


async def test_list_goes_page_by_page(user: httpx.AsyncClient) -> None:
    """Every list takes limit and cursor; templates too."""
    first = (await user.get("/api/v1/templates?limit=2")).json()
    second = (await user.get(f"/api/v1/templates?limit=2&cursor={first['next']}")).json()

    names = [[each["name"] for each in page["items"]] for page in (first, second)]
    assert names == [["alpha", "beta"], ["gamma"]]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("path", "cursor"), [("templates", "nowhere"), ("templates", ""), ("dead-letters", "999")]
)
async def test_unknown_cursor(user: httpx.AsyncClient, path: str, cursor: str) -> None:
    """Where no page has ended, none begins: an empty page would look like the end of the list."""
    answer = await user.get(f"/api/v1/{path}?cursor={cursor}")

    assert (answer.status_code, answer.json()["code"]) == (422, "cursor.unknown")
    assert [each["field"] for each in answer.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH"])
@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("containers", "GET, POST"),
        ("containers/c-1", "GET, DELETE"),
        ("clusters/lab/vmid-range", "PUT, DELETE"),
        ("session", "GET, POST, DELETE"),
        ("events", "GET"),
    ],
)
async def test_all_methods_of_a_path(user: httpx.AsyncClient, method: str, path: str, methods: str) -> None:
    """A method that a path does not take is answered with all that it does take."""
    answer = await user.request(method, f"/api/v1/{path}", headers={"X-Slipway-Request": "1"})

    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


async def test_page_that_is_not_there(anyone: httpx.AsyncClient) -> None:
    """A person gets a page, which says so; a program gets the problem."""
    person = await anyone.get("/nothing", headers={"Accept": "text/html,*/*;q=0.8"})
    program = await anyone.get("/nothing")

    assert (person.status_code, person.headers["content-type"]) == (404, "text/html")
    assert (program.status_code, program.json()["code"]) == (404, "path.not-found")


async def test_filters_reach_inventory(user: httpx.AsyncClient, others: Others) -> None:
    """Each filter, several values of one, and the order."""
    listed = await user.get(
        "/api/v1/containers?cluster=lab&node=pve&template=nginx-site&tag=prod&power=running&power=stopped"
        "&lifecycle=ready&sort=-hostname&view=summary"
    )
    jobs = await user.get("/api/v1/jobs?state=failed&state=cancelled&kind=container.start")

    assert (listed.json(), jobs.json()) == ({"items": [], "next": None}, {"items": [], "next": None})
    listing = ListContainers(
        cluster="lab",
        node="pve",
        template="nginx-site",
        tag="prod",
        power=(Power.RUNNING, Power.STOPPED),
        lifecycle=(Lifecycle.READY,),
        sort=ContainerSort.HOSTNAME_LAST,
        view=ContainerView.SUMMARY,
    )
    states = (JobState.FAILED, JobState.CANCELLED)
    assert [query for query, _ in others.asked] == [listing, ListJobs(state=states, kind=(JobKind.START,))]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("containers?limit=0", ["limit"]),
        ("containers?limit=1&limit=x", ["limit"]),
        ("containers?node=a&node=b&tag=c&tag=d", ["node", "tag"]),
        ("containers?colour=red", ["colour"]),
        ("containers?view=short", ["view"]),
        ("containers?power=running&power=on", ["power.1"]),
        ("containers?q=%00", ["q"]),
        ("jobs?state=over", ["state.0"]),
        ("jobs?container=-", ["container"]),
    ],
)
async def test_unclear_filters_are_named(
    user: httpx.AsyncClient, others: Others, path: str, fields: list[str]
) -> None:
    """Whoever answers lists, what is wrong with one is said by name, and nobody is asked."""
    answer = await user.get(f"/api/v1/{path}")

    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, fields)
    assert others.asked == []


async def test_openapi_names_every_path(user: httpx.AsyncClient) -> None:
    """A client generator finds the streams, the models and what an error looks like."""
    document = (await user.get("/api/v1/openapi.json")).json()

    assert {"/api/v1/events", "/api/v1/jobs/{job}/events", "/api/v1/containers"} <= set(document["paths"])
    creation = document["paths"]["/api/v1/containers"]["post"]
    choices = creation["responses"]["202"]["content"]["application/json"]["schema"]["anyOf"]
    assert [each["$ref"].rpartition("/")[2] for each in choices] == ["Accepted", "BatchAccepted"]
    assert list(creation["responses"]["422"]["content"]) == ["application/problem+json"]
    keyed = [name for name, path in document["paths"].items() if "Idempotency-Key" in str(path.get("post"))]
    assert {"/api/v1/clusters", "/api/v1/containers", "/api/v1/jobs"} <= set(keyed)
    verbs = {f"/api/v1/containers/{{container}}/{verb}" for verb in REQUESTED}
    assert verbs <= set(keyed)
    listed = {each["name"] for each in document["paths"]["/api/v1/containers"]["get"]["parameters"]}
    assert {"limit", "cursor", "node", "power", "sort", "view"} <= listed


async def test_openapi_says_what_each_verb_takes(user: httpx.AsyncClient) -> None:
    """Exactly the arguments of its kind."""
    document = (await user.get("/api/v1/openapi.json")).json()

    for spec in REQUESTED.values():
        request = document["paths"][f"/api/v1/containers/{{container}}/{spec.verb}"]["post"]
        body = request["requestBody"]["content"]["application/json"]["schema"]
        name = (body.get("anyOf") or [body])[0]["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
        assert request["summary"] == spec.summary
        assert schema["additionalProperties"] is False, spec.verb
        assert set(schema.get("properties", {})) == set(spec.args.model_fields), spec.verb


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("containers/c1/start", {"cores": 2}, "args.cores"),
        ("containers/c1/rollback", {}, "args.snapshot"),
        (
            "containers/c1/configure",
            {"mounts": [{"storage": "/a", "path": "/b", "sise": 1}]},
            "mounts.0.sise",
        ),
        (
            "jobs",
            {"kind": "container.rollback", "container": "c1", "args": {"snapshot": "a", "cores": 2}},
            "args.cores",
        ),
        ("jobs", {"kind": "container.migrate", "container": "c1"}, "args.target_node"),
        ("jobs", {"kind": "container.delete", "selection": "tag:x", "args": {"cores": 1}}, "args.cores"),
    ],
)
async def test_arguments_are_those_of_the_kind(
    user: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    """One that the kind does not take, or lacks, is refused by its name."""
    response = await user.post(f"/api/v1/{path}", json=body)

    assert response.status_code == 422
    assert [each["field"] for each in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "path", ["containers/c-1", "jobs/job-1", "jobs/no-such", "jobs/NOT-AN-ID", "jobs/a%00b"]
)
async def test_a_read_is_answered_alike_on_both_ways(user: httpx.AsyncClient, path: str) -> None:
    """With a query FastAPI finds the handler, without one the front does: nothing tells them apart."""
    short, long = await user.get(f"/api/v1/{path}"), await user.get(f"/api/v1/{path}?one=more")
    wrong = await user.put(f"/api/v1/{path}")

    varies = {"date", "x-correlation-id"}
    heads = [
        {name: text for name, text in each.headers.items() if name not in varies} for each in (short, long)
    ]
    bodies = [each.text.replace(each.headers["x-correlation-id"], "") for each in (short, long)]
    assert short.status_code == long.status_code
    assert heads[0] == heads[1]
    assert bodies[0] == bodies[1]
    assert "GET" in wrong.headers["allow"]


async def test_a_large_body_of_a_read_harms_nothing(user: httpx.AsyncClient) -> None:
    """Nobody reads it; the connection is as good as before."""
    for _ in range(2):
        answer = await user.request("GET", "/api/v1/version", content=b"x" * 3_000_000)

        assert answer.status_code == httpx.codes.OK
    assert (await user.get("/api/v1/jobs/job-1")).status_code == httpx.codes.OK
