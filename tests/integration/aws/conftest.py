import pytest

from endpoint import aws_endpoint, environment, state_table
from redis_fargate.aws.clients import Clients
from redis_fargate.aws.state import StateTable


@pytest.fixture(scope="session")
def endpoint():
    with aws_endpoint() as url:
        yield url


@pytest.fixture
def clients(endpoint, monkeypatch):
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)
    return Clients()


@pytest.fixture
def table_name(clients):
    with state_table(clients) as name:
        yield name


class Clock:
    """Seconds since the epoch, as the test wants them."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(clients, table_name, clock):
    return StateTable(clients, table_name, clock=clock)
