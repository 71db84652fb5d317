from collections.abc import Iterator

import pytest

from endpoint import aws_endpoint
from redis_fargate.local.clients import Clients


@pytest.fixture(scope="session")
def clients() -> Iterator[Clients]:
    with aws_endpoint() as url:
        made = Clients(url)
        made.logs.create_log_group(logGroupName="tasks")
        yield made
        made.close()
