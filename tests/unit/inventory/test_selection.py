"""Selections: what is written is what is meant, for any containers; every fault names its part."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.inventory.containers.selection import Candidate, SelectionInvalid, chosen, missing, parse

NAMES = ("web-1", "web-2", "Db-1", "cache")
TAGS = ("prod", "Prod", "c++", "a.b")
NODES = ("pve1", "pve2")


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    """Return a few containers."""
    vmids = draw(st.lists(st.integers(100, 112), unique=True, max_size=8))
    return [
        Candidate(
            id=f"id-{vmid}",
            vmid=vmid,
            hostname=draw(st.sampled_from(NAMES)),
            cluster=draw(st.sampled_from(("home", "lab"))),
            node=draw(st.sampled_from(NODES)),
            template=draw(st.sampled_from((None, "nginx"))),
            tags=frozenset(draw(st.sets(st.sampled_from(TAGS)))),
        )
        for vmid in vmids
    ]


def _fits(term: str, one: Candidate) -> bool:
    """Match it in another way: term by term, without the parser."""
    if term[0].isdigit():
        first, _, last = term.partition("-")
        return one.vmid in range(int(first), int(last or first) + 1)
    word, _, value = term.partition(":")
    begins = one.hostname.lower().startswith(value.rstrip("*").lower())
    held = {
        "tag": any(tag.lower() == value.lower() for tag in one.tags),
        "node": value == one.node,
        "template": value == one.template,
        "cluster": value == one.cluster,
        "name": begins,
    }
    return held[word]


VMIDS = st.tuples(st.integers(100, 112), st.integers(0, 5)).map(
    lambda pair: f"{pair[0]}-{pair[0] + pair[1]}" if pair[1] else str(pair[0])
)
WORDS = st.sampled_from(
    ("tag:prod", "tag:c++", "tag:A.b", "node:pve1", "template:nginx", "cluster:home", "name:WEB-*", "name:*")
)


@given(
    st.lists(st.tuples(st.lists(VMIDS, max_size=1), st.lists(WORDS, max_size=3)), min_size=1, max_size=4),
    st.sampled_from(("+", " ", " + ")),
    candidates(),
)
def test_a_selection_means_what_its_terms_mean(
    parts: Sequence[tuple[list[str], list[str]]], narrows: str, among: list[Candidate]
) -> None:
    """Commas add, plus and space narrow; the answer is sorted and holds nobody twice."""
    written = [[*vmids, *filters] for vmids, filters in parts if vmids or filters] or [["100"]]

    selection = chosen(parse(",".join(narrows.join(terms) for terms in written)), among)

    expected = {one.id for one in among if any(all(_fits(t, one) for t in terms) for terms in written)}
    assert {one.id for one in selection} == expected
    assert list(selection) == sorted(selection, key=lambda one: (one.cluster, one.vmid))


@given(st.text(max_size=60))
def test_whatever_is_written_is_read_or_refused_by_name(text: str) -> None:
    """Nothing else ever happens."""
    fields: list[str] = []
    try:
        read = parse(text)
    except SelectionInvalid as refused:
        read, fields = (), [each.field for each in refused.errors]
    assert bool(read) != (fields == ["selection"])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "Part 1"),
        ("101,,102", "Part 2"),
        ("101,99", "Part 2 ('99')"),
        ("110-105", "upwards"),
        ("tag:", "tag: wants a value"),
        ("101,taag:prod", "Part 2 ('taag:prod')"),
        ("101+taag:prod", "taag:prod"),
        ("web-1", "neither a VMID"),
    ],
)
def test_a_fault_names_its_part(text: str, named: str) -> None:
    """So that it is found in a long selection."""
    with pytest.raises(SelectionInvalid) as refused:
        parse(text)
    assert named in refused.value.message


def test_only_vmids_that_were_named_one_by_one_are_missed() -> None:
    """A range or a tag may mean nothing."""
    parts = parse("101,102,110-120,tag:none,103+tag:prod")
    one = Candidate(
        id="a", vmid=102, hostname="web", cluster="home", node="pve1", template=None, tags=frozenset()
    )

    assert missing(parts, [one]) == (101,)
