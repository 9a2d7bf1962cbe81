"""Questions that are asked before their answers are needed."""

import pytest

from slipway.contracts.problems import Unavailable
from slipway.provisioner.engine.ahead import Ahead


async def test_a_question_is_asked_once_and_anew_only_if_that_failed() -> None:
    """The answer stays; an error is raised to whoever needs the answer, and the next one asks again."""
    asked: list[str] = []

    async def ask() -> str:
        asked.append("asked")
        if len(asked) == 1:
            raise Unavailable("It is away.")
        return "here"

    ahead = Ahead(ask)
    with pytest.raises(Unavailable):
        await ahead.answer()

    answers = [await ahead.answer(), await ahead.answer()]

    assert (answers, len(asked)) == (["here", "here"], 2)
    await ahead.aclose()
