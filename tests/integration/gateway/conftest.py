from collections.abc import Iterator

import pytest
from gateway_rig import running_gateway

from redis_fargate.local.clients import Clients


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as (url, _):
        yield url


@pytest.fixture(scope="session")
def clients(endpoint: str) -> Iterator[Clients]:
    made = Clients(endpoint)
    yield made
    made.close()
