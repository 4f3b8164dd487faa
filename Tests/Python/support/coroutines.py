"""Runs the coroutines of tests."""

import asyncio


def go(coroutine, seconds=90):
    """Returns the coroutine's result. Fails if it takes longer."""
    return asyncio.run(asyncio.wait_for(coroutine, seconds))
