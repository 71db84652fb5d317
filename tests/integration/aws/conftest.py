import pytest

from redis_fargate.aws.state import StateTable


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
