"""The gateway behind a proxy: what people write in front of its paths, and who may change what."""

import httpx
import pytest

from support.gateway_side import TOKEN

PUBLIC = {"public_url": "https://slipway.example/slipway"}
BEHIND = PUBLIC | {"trusted_proxies": "127.0.0.1"}
WEB = {"template": "nginx-site", "hostname": "web"}


@pytest.mark.parametrize(("changes", "before"), [(BEHIND, "/slipway"), (PUBLIC, "")])
async def test_a_path_stays_in_front_of_all(anyone: httpx.AsyncClient, before: str) -> None:
    """Whether a proxy takes it away or passes it on: cookies and addresses in answers are those of people."""
    opened = await anyone.post(f"{before}/api/v1/session", json={"secret": TOKEN})
    cookie = opened.headers["set-cookie"].split(";")[0]
    headers = {"Cookie": cookie, "X-Slipway-Request": "1", "Origin": "https://slipway.example"}
    created = await anyone.post(f"{before}/api/v1/containers", json=WEB, headers=headers)
    ready = await anyone.get(f"{before}/readyz")

    assert {"Secure", "Path=/slipway", "HttpOnly"} <= set(opened.headers["set-cookie"].split("; "))
    assert (created.status_code, created.headers["location"]) == (202, "/slipway/api/v1/jobs/job-1")
    assert ready.json()["status"] == "ready"


@pytest.mark.parametrize("changes", [BEHIND])
async def test_page_is_relative_to_its_path(anyone: httpx.AsyncClient) -> None:
    """The path without its slash leads to the page; a page further below finds its parts as well."""
    moved = await anyone.get("/slipway")
    page = await anyone.get("/slipway/")
    lost = await anyone.get("/slipway/a/b", headers={"Accept": "text/html"})

    assert (moved.status_code, moved.headers["location"]) == (308, "/slipway/")
    assert 'src="./assets/app.js"' in page.text
    assert (lost.status_code, 'src=".././assets/app.js"' in lost.text) == (404, True)


@pytest.mark.parametrize("changes", [{"public_url": "https://slipway.example:443"}])
async def test_only_our_page_changes_with_a_session(anyone: httpx.AsyncClient) -> None:
    """It is the page at the public address, or at the one that the request itself goes to."""
    opened = await anyone.post("/api/v1/session", json={"secret": TOKEN})
    cookie = opened.headers["set-cookie"].split(";")[0]
    headers = {"Cookie": cookie, "X-Slipway-Request": "1", "Host": "direct.example:7880"}
    ours = ["https://slipway.example", "http://direct.example:7880"]
    others = ["https://evil.example", "null", "http://slipway.example"]

    answers = {
        origin: await anyone.post("/api/v1/containers", json=WEB, headers={**headers, "Origin": origin})
        for origin in (*ours, *others)
    }

    assert {answers[origin].status_code for origin in ours} == {httpx.codes.ACCEPTED}
    assert {answers[origin].json().get("code") for origin in others} == {"auth.origin-wrong"}


@pytest.mark.parametrize(
    ("changes", "is_secure"), [({}, False), ({"trusted_proxies": "127.0.0.0/8"}, True)], ids=["none", "ours"]
)
async def test_only_a_trusted_proxy_says_that_tls_is_spoken(
    anyone: httpx.AsyncClient, *, is_secure: bool
) -> None:
    """Its headers set the cookie's path, and that it is for TLS only; those of others set nothing."""
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/a", "X-Forwarded-For": "203.0.113.7"}
    opened = await anyone.post("/api/v1/session", json={"secret": TOKEN}, headers=said)

    parts = opened.headers["set-cookie"].split("; ")
    assert ("Secure" in parts, "Path=/a" in parts) == (is_secure, is_secure)
