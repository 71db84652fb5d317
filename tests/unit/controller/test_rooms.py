import asyncio

import pytest

from redis_fargate.controller.rooms import RedisNodes
from redis_fargate.controller.settings import InvalidSettings, Settings
from redis_fargate.topology.spec import Policy, Spec

SETTINGS = Settings(
    "redis", "redis", "redis-cluster-service", "local", "redis-cluster", "redis-state",
    Spec(1, 0), Policy(), tls=True, tls_ca_secret="the-ca",
)  # fmt: skip


class NoCertificate:
    def read(self, reference):
        assert reference == "the-ca"
        return "hush"


def test_a_secret_without_certificates_is_a_sentence():
    async def opened():
        async with RedisNodes(SETTINGS, NoCertificate()):
            pass

    with pytest.raises(InvalidSettings, match=r"the-ca \(TLS_CA_SECRET_ARN\)") as caught:
        asyncio.run(opened())
    assert "hush" not in str(caught.value)
