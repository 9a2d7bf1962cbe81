"""What `-o` prints: the API's own document, as JSON and as YAML."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slipway.cli.formats import Format, _yaml, in_one_line, print_document

Json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
DOCUMENT: dict[str, Any] = {
    "items": [{"id": 1, "tags": ["a", "b"], "spec": {"no": None}}, {}, [[1], []]],
    "text": "käse: yes\n- # \x85 \u2028 \x9b2J \U0001f600",
    "next": None,
}


@pytest.mark.parametrize(("form", "read"), [(Format.JSON, json.loads), (Format.YAML, yaml.safe_load)])
def test_nothing_is_lost(form: Format, read: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The document is read back as it was, and nothing in it steers a terminal."""
    print_document(DOCUMENT, form)

    text = capsys.readouterr().out
    assert read(text) == DOCUMENT
    assert not set("\x9b\x85\u2028") & set(text)


@given(st.dictionaries(st.text(), Json, max_size=4))
def test_any_document_is_yaml(document: dict[str, Any]) -> None:
    """Whatever JSON can say is read back the same."""
    assert yaml.safe_load("\n".join(_yaml(document))) == document


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("correct horse  battery", "correct horse  battery"),
        ("one\ntwo", '"one\\ntwo"'),
        (" dos\r", '" dos\\r"'),
        ("\x1b[31m", '"\\u001b[31m"'),
    ],
)
def test_value_is_shown_whole_in_one_line(value: str, cell: str) -> None:
    """What a line can't hold is shown as JSON."""
    assert in_one_line(value) == cell
