"""One Chromium for all tests, and the people in it."""

import pytest

from chromium import Chromium, Person


@pytest.fixture(scope="session")
def chromium():
    chromium = Chromium()
    yield chromium
    chromium.quit()


@pytest.fixture
def person(chromium):
    """Makes people; `beside=` another one makes one more tab of the same browser."""
    profiles = []

    def person(beside=None, **options):
        if beside is None:
            profiles.append(chromium.profile())
        return Person(chromium, beside.profile if beside else profiles[-1], **options)

    yield person
    for profile in profiles:
        chromium.forget(profile)
