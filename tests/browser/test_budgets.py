"""What the page costs, where a busy machine cannot change the figure; budgets.py measures the rest."""

import pytest
from playwright.async_api import BrowserContext

from tests.browser.budgets import first_load, long_answers
from tests.browser.page_chain import PageChain
from tests.browser.visit import Visit

FIRST_LOAD_BYTES = 60_000
WITH_MARKDOWN_BYTES = 80_000
HEAP_GROWTH_BYTES = 3_000_000  # ten answers of 3,000 tokens are 200 KB of text


@pytest.mark.usefixtures("libraries")
async def test_the_first_load_is_at_most_sixty_kilobytes(context: BrowserContext, up: PageChain) -> None:
    """Until it can be used; the Markdown library comes after that, and the page works without it."""
    loaded = await first_load(context, up.url)

    assert 20_000 < loaded.usable <= FIRST_LOAD_BYTES
    assert loaded.usable + loaded.markdown <= WITH_MARKDOWN_BYTES


@pytest.mark.usefixtures("libraries")
async def test_the_heap_does_not_grow_with_the_answers_that_were_read(visit: Visit) -> None:
    held = await long_answers(visit, 6, 1500)

    assert held[-1] - held[1] < HEAP_GROWTH_BYTES
