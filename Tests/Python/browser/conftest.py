"""One Chromium for all tests, and the users in it."""

import pytest

from browser.chromium import Chromium, Person


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
