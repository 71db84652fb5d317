"""Fixtures with real servers of every version that is supported."""

from collections.abc import Iterator

import pytest

import servers
from servers import PROGRAMS, Fleet, MissingProgramError, Program


def _program(name: str) -> Program:
    try:
        return PROGRAMS[name]()
    except MissingProgramError as error:
        pytest.fail(str(error))


@pytest.fixture(params=PROGRAMS, scope="module")
def module_fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Servers that the tests of a module share, and leave as they were."""
    with servers.fleet(_program(request.param)) as started:
        yield started


@pytest.fixture(params=PROGRAMS)
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Servers of one version after the other."""
    with servers.fleet(_program(request.param)) as started:
        yield started


@pytest.fixture
def redis_fleet() -> Iterator[Fleet]:
    """Servers of the one version that has TLS, and that is measured."""
    with servers.fleet(_program("redis-7.0")) as started:
        yield started
