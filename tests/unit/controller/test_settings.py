import pytest

from redis_fargate.controller.settings import InvalidSettings, Settings
from redis_fargate.topology.spec import OnDataLoss, Pace, Policy, Spec

NEEDED = {
    "CLUSTER_NAME": "redis",
    "ECS_CLUSTER": "redis",
    "ECS_SERVICE": "redis-cluster-service",
    "CLOUDMAP_NAMESPACE": "local",
    "CLOUDMAP_SERVICE": "redis-cluster",
    "STATE_TABLE": "redis-state",
    "MASTER_COUNT": "3",
    "REPLICA_COUNT": "3",
}


def test_the_least_that_is_needed():
    assert Settings.from_environment(NEEDED) == Settings(
        cluster_name="redis",
        ecs_cluster="redis",
        ecs_service="redis-cluster-service",
        cloudmap_namespace="local",
        cloudmap_service="redis-cluster",
        state_table="redis-state",
        spec=Spec(3, 3),
        policy=Policy(form_patience_s=120.0),
    )


def test_everything():
    settings = Settings.from_environment(
        NEEDED
        | {
            "REDIS_PORT": "7000",
            "PASSWORD_SECRET_ARN": "arn:password",
            "REDIS_USERNAME": "controller",
            "TLS": "true",
            "TLS_CA_SECRET_ARN": "arn:ca",
            "FORM_PATIENCE_S": "1.5",
            "ON_DATA_LOSS": "rebuild_empty",
            "MOVE_MAX_LATENCY_MS": "2.5",
            "MOVE_MAX_BYTES_PER_S": "5e7",
        }
    )
    assert settings.redis_port == 7000
    assert settings.password_secret == "arn:password"
    assert settings.redis_username == "controller"
    assert settings.tls
    assert settings.tls_ca_secret == "arn:ca"
    assert settings.policy == Policy(1.5, OnDataLoss.REBUILD_EMPTY, Pace(2.5, 50_000_000))


def test_all_that_is_missing_is_named_at_once():
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environment({"TLS": " "})
    for name in NEEDED:
        assert f"{name} is not set." in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"MASTER_COUNT": "three"}, "MASTER_COUNT is 'three': give a whole number of 1 or more."),
        ({"MASTER_COUNT": "0"}, "MASTER_COUNT is '0': give a whole number of 1 or more."),
        ({"REPLICA_COUNT": "-1"}, "REPLICA_COUNT is '-1': give a whole number of 0 or more."),
        ({"MASTER_COUNT": "400", "REPLICA_COUNT": "400"}, "makes 800 tasks"),
        ({"REDIS_PORT": "60000"}, "REDIS_PORT is '60000': give a whole number from 1 to 55535."),
        ({"REDIS_PORT": "1_0"}, "REDIS_PORT is '1_0'"),
        ({"TLS": "yes"}, "TLS is 'yes': give true or false."),
        ({"FORM_PATIENCE_S": "nan"}, "FORM_PATIENCE_S is 'nan': give seconds"),
        ({"FORM_PATIENCE_S": "-1"}, "FORM_PATIENCE_S is '-1': give seconds"),
        ({"ON_DATA_LOSS": "restore"}, "ON_DATA_LOSS is 'restore': give halt or rebuild_empty."),
        ({"MOVE_MAX_LATENCY_MS": "0"}, "MOVE_MAX_LATENCY_MS is '0': give milliseconds of 1 or"),
        ({"MOVE_MAX_BYTES_PER_S": "1 MB"}, "MOVE_MAX_BYTES_PER_S is '1 MB': give bytes per second"),
        ({"REDIS_USERNAME": "me"}, "REDIS_USERNAME is set without PASSWORD_SECRET_ARN"),
        ({"TLS_CA_SECRET_ARN": "arn:ca"}, "TLS_CA_SECRET_ARN is set, but TLS is not true"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_said(variables, sentence):
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environment(NEEDED | variables)
    assert sentence in str(caught.value)


def test_several_problems_in_one_message():
    with pytest.raises(InvalidSettings, match=r"REDIS_PORT is .* TLS is "):
        Settings.from_environment(NEEDED | {"REDIS_PORT": "x", "TLS": "x"})
