import pytest

from endpoint import aws_endpoint, environment, state_table
from redis_fargate.aws.clients import Clients


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
