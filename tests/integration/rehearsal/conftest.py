from collections.abc import Iterator

import pytest

import servers
from servers import PROGRAMS, Fleet


@pytest.fixture(params=PROGRAMS)
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Servers of one version after the other."""
    with servers.fleet(PROGRAMS[request.param]()) as started:
        yield started
