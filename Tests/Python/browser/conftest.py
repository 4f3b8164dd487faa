"""One Chromium for all tests, and the users in it."""

import pytest

from browser.chromium import Chromium, Person
from support.confab_process import confab


@pytest.fixture(scope="session")
def chromium():
    chromium = Chromium()
    yield chromium
    chromium.quit()


@pytest.fixture
def person(chromium):
    """Opens windows for users. With `beside=` the window is another tab of that user's browser."""
    profiles = []

    def person(beside=None, **options):
        if beside is None:
            profiles.append(chromium.profile())
        return Person(chromium, beside.profile if beside else profiles[-1], **options)

    yield person
    for profile in profiles:
        chromium.forget(profile)


@pytest.fixture(scope="module")
def run(chromium):
    """Runs a script that may import the page's modules."""
    profile = chromium.profile()
    with confab() as server:
        person = Person(chromium, profile)
        person.browser.get(server.http)
        yield person.run_async
    chromium.forget(profile)
