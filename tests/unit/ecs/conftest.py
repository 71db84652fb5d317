import pytest
from ecs_cloud import cloud


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One ECS for a whole file: its tests use services and families of their own."""
    with cloud(tmp_path_factory.mktemp("tasks")) as running:
        yield running


@pytest.fixture
def fresh(tmp_path):
    """An ECS of the test's own."""
    with cloud(tmp_path / "tasks") as running:
        yield running
