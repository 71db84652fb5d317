import pytest

from servers import fleet, redis_70


@pytest.fixture
def servers():
    with fleet(redis_70()) as started:
        yield started
