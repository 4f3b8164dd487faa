"""A server with TLS."""

import pytest

from support.confab_process import confab, make_certificate


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(files):
    with confab("--tls-cert", files[0], "--tls-key", files[1], "--loops", 2, "--log-level", "info") as server:
        yield server
