"""Selections: each part says what is meant, and nothing means more than that."""

import pytest

from slipway.inventory.containers.selection import Selected, SelectionInvalid, missing, read_selection

HERE = Selected(id="a", vmid=102, cluster_id="cl-1", cluster="home")
THERE = Selected(id="b", vmid=104, cluster_id="cl-2", cluster="work")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "nothing stands"),
        ("101,taag:prod", "At character 5: there is no word 'taag'"),
        ("web-1", "The text 'web-1' alone does not say"),
        ("99", "The text '99' alone"),
        ("50%_off", "The text '50%_off' alone"),
        ("tag:prod,-tag:web", "A part in which all terms begin with '-' does not say"),
        ("-101", "all terms begin with '-'"),
        ("shop -tag:web", "The text 'shop' alone"),
        ("101,shop", "The text 'shop' alone"),
    ],
)
def test_what_does_not_say_what_is_meant_is_refused(text: str, named: str) -> None:
    """In any part; the error names the field."""
    with pytest.raises(SelectionInvalid) as refused:
        read_selection(text)

    assert named in refused.value.message
    assert [each.field for each in refused.value.errors] == ["selection"]


@pytest.mark.parametrize(
    "text", ["101", "name:*", "tag:prod shop", "tag:prod -tag:web", "101,tag:prod -node:a"]
)
def test_texts_and_what_is_left_out_narrow(text: str) -> None:
    """Beside what says what is meant."""
    assert read_selection(text)


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("101,102,110-120,tag:none,103+tag:prod", (101,)),
        ("102+cluster:home,104+cluster:cl-2", ()),
        ("102+cluster:work,104+cluster:work", (102,)),
        ("vmid:102,104 cluster:home,work", ()),
        ("102 cluster:home cluster:work", (102,)),
        ("-102 tag:prod", ()),
    ],
)
def test_only_vmids_that_were_named_one_by_one_are_missed(text: str, absent: tuple[int, ...]) -> None:
    """Also in their cluster alone; a range or a tag may mean nothing."""
    assert missing(read_selection(text), [HERE, THERE]) == absent
