"""The grammar of searches: what is written is what is meant, and every fault names its place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.contracts.bulk import LONGEST_SELECTION
from slipway.contracts.containers import ListContainers
from slipway.contracts.values import Lifecycle, Power
from slipway.inventory.containers.clauses import CLAUSES
from slipway.inventory.containers.conditions import FREE_TEXT, READERS, WORDS
from slipway.inventory.containers.search import (
    MOST_SLOW,
    MOST_TERMS,
    MOST_VALUES,
    SearchInvalid,
    Unreadable,
    parse,
    search_of,
)
from slipway.inventory.containers.terms import TEXT, Search, Term

WEB, DB = Term("tag", ("web",)), Term("tag", ("db",))
PVE1, SHOP = Term("node", ("pve1",)), Term(TEXT, ("%shop%",))
PAGE = Path(__file__).parents[3] / "docs/reference/search.md"


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("tag:Web node:pve1", ((WEB, PVE1),)),
        ("tag:web+node:pve1", ((WEB, PVE1),)),
        (" TAG:web  +  node:pve1 ", ((WEB, PVE1),)),
        ("node:pve1 node:pve2", ((PVE1, Term("node", ("pve2",))),)),
        ("tag:web,db", ((Term("tag", ("web", "db")),),)),
        ("tag:web , db node:pve1", ((Term("tag", ("web", "db")), PVE1),)),
        ("node:pve1 tag:web,db", ((PVE1, Term("tag", ("web", "db"))),)),
        ("tag:web,tag:db", ((Term("tag", ("web", "db")),),)),
        ("tag:web node:pve1,tag:db", ((DB,), (WEB, PVE1))),
        ("-tag:web,db node:pve1", ((Term("tag", ("web", "db"), is_negated=True), PVE1),)),
        ("tag:web,-tag:db", ((WEB,), (Term("tag", ("db",), is_negated=True),))),
        ("tag:c+++node:pve1", ((Term("tag", ("c++",)), PVE1),)),
        ("tag:web+-node:pve1", ((WEB, Term("node", ("pve1",), is_negated=True)),)),
        ("shop node:pve1", ((SHOP, PVE1),)),
        ("shop,50%_off", ((Term(TEXT, ("%shop%", r"%50\%\_off%")),),)),
        ('"tag:a b, \\"c\\""', ((Term(TEXT, ('%tag:a b, "c"%',)),),)),
        ('"tag=web","a*"', ((Term(TEXT, ("%tag=web%", "%a*%")),),)),
        ('name:"a b",c*', ((Term("name", ("a b", "c%")),),)),
        (r"name:W_b-?*", ((Term("name", (r"w\_b-_%",)),),)),
        ("101,105-110", ((Term("vmid", ("[101,101]", "[105,110]")),),)),
        ("tag:web,101", ((WEB,), (Term("vmid", ("[101,101]",)),))),
        ("101,102 tag:web", ((Term("vmid", ("[101,101]",)),), (Term("vmid", ("[102,102]",)), WEB))),
        ("vmid:101,102 tag:web", ((Term("vmid", ("[101,101]", "[102,102]")), WEB),)),
        ("105-110 -107", ((Term("vmid", ("[105,110]",)), Term("vmid", ("[107,107]",), is_negated=True)),)),
        ('"101",99,110-105', ((Term(TEXT, ("%101%", "%99%", "%110-105%")),),)),
        ("ip:10.0.0.9/24,ip:fd00::1", ((Term("ip", ("10.0.0.0/24", "fd00::1/128")),),)),
        ("status:Running,failed", ((Term("status", ("running", "failed")),),)),
    ],
)
def test_what_is_written_is_what_is_meant(text: str, search: Search) -> None:
    """Blanks and plus narrow, commas add, a value without a word belongs to the word before it."""
    assert parse(text) == search


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "At character 1: nothing stands here"),
        ("101,,102", "At character 5: nothing stands here"),
        ("tag:web,", "At character 9: nothing stands here"),
        (
            "tag:web tga:db",
            "At character 9: there is no word 'tga'. Did you mean 'tag'? The words are tag:, node:,",
        ),
        ("text:shop", "there is no word 'text'"),
        ("http://shop", "a text with a colon stands in quotes"),
        ("tag: web", "At character 1: tag: wants a value."),
        ('tag:""', "tag: wants a value."),
        ('""', "the text is empty."),
        ("tag:web,-db", "At character 9: '-' stands before the whole list of values, like -tag:a,b."),
        ("status:runing", "'runing' is no value of status: it is one of creating, ready"),
        ("status:runing", "Did you mean 'running'?"),
        ("status:deleted", "is no value of status"),
        ("ip:10.0.0.0/33", "it is an address like 10.0.0.5, or a network like 10.0.0.0/24."),
        ("ip:fe80::1%eth0", "it is an address like 10.0.0.5"),
        ("name:web-* -tag=keep", "At character 12: a colon stands after a word, like tag:web;"),
        ("Status!=running", "a colon stands after a word"),
        ("name:web-* -tag:keep*", "'keep*' is no value of tag: it takes a whole name"),
        ("node:pve?", "it takes a whole name"),
        ("web-*", "name:web-* is names that begin so"),
        ("vmid:99", "a VMID goes from 100"),
        ("vmid:101,web", "'web' is no value of vmid"),
        ("vmid:110-105", "a range goes upwards"),
        ('name:"web', "At character 6: a quote begins here that has no end"),
        ('"web', "At character 1: a quote begins here that has no end"),
        ('"a"b', "At character 4: 'b' is not expected; quotes stand around a whole value."),
        ("a:b c:d", "At character 5: there is no word 'c'."),
        ("x" * (LONGEST_SELECTION + 1), "characters; 4000 are the most"),
        (" ".join(["tag:a"] * 201), "201 terms; 200 are the most"),
        (",".join(["a"] * 21), "21 texts and addresses; 20 are the most"),
        ("tag:" + ",".join(["a"] * 1001), "1001 values; 1000 are the most"),
    ],
)
def test_a_fault_names_its_place_and_what_there_is(text: str, fault: str) -> None:
    """So that it is found in a long search, and mended."""
    with pytest.raises(Unreadable) as refused:
        parse(text)

    assert fault in str(refused.value)


@given(st.text(alphabet=st.sampled_from('tag:node -+,"\\*1059\n\té'), max_size=40) | st.text(max_size=40))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    """Nothing else ever happens, and no part is without a term: it would mean everything."""
    fault = ""
    try:
        search = parse(text)
    except Unreadable as error:
        search, fault = (), str(error)

    assert bool(search) != bool(fault)
    assert all(part and all(term.values for term in part) for part in search)


def test_filters_are_conditions_that_hold_beside_the_search() -> None:
    """None replaces a word of the search, and they hold in each of its parts."""
    query = ListContainers(
        q="node:pve2,tag:db", node="pve1", lifecycle=(Lifecycle.READY,), power=(Power.RUNNING,)
    )

    beside = (PVE1, Term("status", ("ready",)), Term("status", ("running",)))
    assert search_of(query) == ((*beside, Term("node", ("pve2",))), (*beside, DB))
    assert search_of(ListContainers(q="  ")) == ((),)


def test_a_list_names_the_parameter() -> None:
    """As a form needs it."""
    for query in (ListContainers(q="tga:x"), ListContainers(tag="web*")):
        with pytest.raises(SearchInvalid) as refused:
            search_of(query)

        field = "q" if query.q else "tag"
        assert [(each.field, each.message) for each in refused.value.errors] == [
            (field, refused.value.message)
        ]


def test_each_word_is_a_condition_and_stands_in_the_reference() -> None:
    """Its example can be read; the bounds stand there too."""
    page = PAGE.read_text()

    assert CLAUSES.keys() == READERS.keys()
    assert f"At most {LONGEST_SELECTION} characters, {MOST_TERMS} terms with {MOST_VALUES} values" in page
    assert (FREE_TEXT.meaning in page, f"{MOST_SLOW} of them texts or addresses" in page) == (True, True)
    for word, each in WORDS.items():
        ((term,),) = parse(each.example)
        assert (term.word, f"| `{each.example}` | {each.meaning} |" in page) == (word, True)
