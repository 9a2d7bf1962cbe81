"""Every list of the API refuses a cursor that it never gave."""

import httpx
import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", ["audit", "clusters", "containers", "dead-letters", "jobs", "templates"])
@pytest.mark.parametrize("cursor", ["nosuch", "0", "", "a/b", "\N{SNOWMAN}", "9" * 200])
async def test_unknown_cursor(api: httpx.AsyncClient, path: str, cursor: str) -> None:
    """An empty page would look like the end of the list; the field is named."""
    answer = await api.get(f"/api/v1/{path}", params={"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (422, "cursor.unknown"), answer.text
    assert answer.json()["errors"][0]["field"] == "cursor"
