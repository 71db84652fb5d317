"""The controller's settings, from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from redis_fargate.topology.errors import InvalidSpecError, PermanentError
from redis_fargate.topology.spec import OnDataLoss, Pace, Policy, Spec

MAX_PORT = 55535
"""The cluster bus listens 10000 above the port."""
_NOTHING = Spec(master_count=1, replica_count=0)


class InvalidSettings(PermanentError):
    """Variables are missing or wrong; the message names all of them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one controller looks after, and how it gets there."""

    cluster_name: str
    ecs_cluster: str
    """Name or ARN."""
    ecs_service: str
    """Name."""
    cloudmap_namespace: str
    cloudmap_service: str
    state_table: str
    spec: Spec
    policy: Policy
    redis_port: int = 6379
    redis_username: str | None = None
    password_secret: str | None = None
    """ARN, with a JSON key after it if need be (``aws.secrets.SecretRef``)."""
    tls: bool = False
    tls_ca_secret: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables of the controller's contract; an empty one counts as not set.

        Raises:
            InvalidSettings: says of every variable what is wrong with it.

        """
        reader = _Reader(environment)
        settings = cls(
            cluster_name=reader.text("CLUSTER_NAME"),
            ecs_cluster=reader.text("ECS_CLUSTER"),
            ecs_service=reader.text("ECS_SERVICE"),
            cloudmap_namespace=reader.text("CLOUDMAP_NAMESPACE"),
            cloudmap_service=reader.text("CLOUDMAP_SERVICE"),
            state_table=reader.text("STATE_TABLE"),
            spec=reader.spec("MASTER_COUNT", "REPLICA_COUNT"),
            policy=reader.policy(),
            redis_port=reader.number("REDIS_PORT", 6379, least=1, most=MAX_PORT),
            redis_username=reader.optional("REDIS_USERNAME"),
            password_secret=reader.optional("PASSWORD_SECRET_ARN"),
            tls=reader.flag("TLS"),
            tls_ca_secret=reader.optional("TLS_CA_SECRET_ARN"),
        )
        if settings.redis_username and not settings.password_secret:
            reader.problems.append("REDIS_USERNAME is set without PASSWORD_SECRET_ARN: set both.")
        if settings.tls_ca_secret and not settings.tls:
            reader.problems.append("TLS_CA_SECRET_ARN is set, but TLS is not true: set both.")
        if reader.problems:
            raise InvalidSettings(
                "The controller's environment is not right. " + " ".join(reader.problems)
            )
        return settings


class _Reader:
    """Reads variables one by one, and collects what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def optional(self, name: str) -> str | None:
        return self._environment.get(name, "").strip() or None

    def text(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            self.problems.append(f"{name} is not set.")
        return value or ""

    def number(self, name: str, default: int | None, *, least: int, most: int | None = None) -> int:
        value = self.optional(name)
        if value is None:
            if default is None:
                self.problems.append(f"{name} is not set.")
            return default or least
        # Not all that int() takes: no underscores, no digits of other scripts.
        number = int(value) if value.isascii() and value.isdigit() else -1
        if number < least or (most is not None and number > most):
            wanted = f"of {least} or more" if most is None else f"from {least} to {most}"
            self.problems.append(f"{name} is {value!r}: give a whole number {wanted}.")
            return least
        return number

    def amount(self, name: str, example: str, *, least: float = 0.0) -> float | None:
        value = self.optional(name)
        if value is None:
            return None
        try:
            amount = float(value)
        except ValueError:
            amount = -1.0
        if not least <= amount < float("inf"):
            self.problems.append(f"{name} is {value!r}: give {example}.")
            return None
        return amount

    def policy(self) -> Policy:
        usual = Policy()
        patience_s = self.amount("FORM_PATIENCE_S", "seconds, as 120")
        latency_ms = self.amount("MOVE_MAX_LATENCY_MS", "milliseconds of 1 or more", least=1)
        bytes_per_s = self.amount("MOVE_MAX_BYTES_PER_S", "bytes per second of 1 or more", least=1)
        return Policy(
            usual.form_patience_s if patience_s is None else patience_s,
            self._on_data_loss(),
            Pace(usual.pace.max_latency_ms if latency_ms is None else latency_ms, bytes_per_s),
        )

    def _on_data_loss(self) -> OnDataLoss:
        value = self.optional("ON_DATA_LOSS") or OnDataLoss.HALT.value
        try:
            return OnDataLoss(value)
        except ValueError:
            known = " or ".join(each.value for each in OnDataLoss)
            self.problems.append(f"ON_DATA_LOSS is {value!r}: give {known}.")
            return OnDataLoss.HALT

    def flag(self, name: str) -> bool:
        value = (self.optional(name) or "false").lower()
        if value not in {"true", "false"}:
            self.problems.append(f"{name} is {value!r}: give true or false.")
        return value == "true"

    def spec(self, masters: str, replicas: str) -> Spec:
        known = len(self.problems)
        master_count = self.number(masters, None, least=1)
        replica_count = self.number(replicas, None, least=0)
        if len(self.problems) > known:
            return _NOTHING
        try:
            return Spec(master_count, replica_count)
        except InvalidSpecError as error:
            self.problems.append(str(error))
            return _NOTHING
