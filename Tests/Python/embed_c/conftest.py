"""The installed tree, and the C programs that are built from it."""

import pytest

from embed_c.installed import COMPILERS, NAMES, Tree


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    return Tree(tmp_path_factory.mktemp("prefix") / "usr")


@pytest.fixture(scope="session")
def programs(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    return {name: [tree.build(folder, name, compiler) for compiler in COMPILERS] for name in NAMES}
