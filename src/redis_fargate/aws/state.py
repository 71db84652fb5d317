"""The state table: who may act (lease), what was formed (marker), what was done (runs).

One DynamoDB table with the keys ``kind`` and ``id``:

| kind   | id                        | other attributes                                    |
| ------ | ------------------------- | --------------------------------------------------- |
| lease  | lease                     | fencing, expires_at_ms, dirty; owner while it is held |
| marker | marker                    | state, settings (while forming), moving (slots that |
|        |                           | may be in flight), forgotten (node ids, and when),  |
|        |                           | at, fencing                                         |
| run    | fencing number, 12 digits | what a run wants remembered, at, ttl                |

The lease expires after the deadline of the run that holds it, so a run that still lives has
it, and need not renew it. Its fencing number grows with each acquisition; what is written to
the marker is written in one transaction with a check that the number is still the writer's.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from redis_fargate.aws.errors import AwsUnavailable, LeaseLost, MarkerChanged, translated
from redis_fargate.topology.slots import SlotRanges, described, parsed
from redis_fargate.topology.view import Forming, Marker

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        ConditionCheckTypeDef,
        TransactWriteItemTypeDef,
        UpdateItemInputTypeDef,
        UpdateItemOutputTypeDef,
    )

    from redis_fargate.aws.clients import Clients

HISTORY_S = 30 * 24 * 3600
"""How long the table remembers a run."""
_TRIES = 10
"""Each lost try means that another run got its way in that moment, so a few are plenty."""
_LEASE_KEY = {"kind": {"S": "lease"}, "id": {"S": "lease"}}
_MARKER_KEY = {"kind": {"S": "marker"}, "id": {"S": "marker"}}
_OURS = "#owner = :me AND fencing = :fencing"
_OWNER = {"#owner": "owner"}  # a reserved word, as ``state`` and ``ttl`` are

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act until it expires; ``fencing`` is larger than any lease's before it."""

    owner: str
    fencing: int


@dataclass(frozen=True, slots=True)
class Held:
    """Another run's lease; that run has been told to look again before it lets go."""

    owner: str
    expires_at_s: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the marker says; the fields are those of ``topology.view.View``."""

    marker: Marker
    forming: Forming | None = None
    moving: SlotRanges = ()
    forgotten: Mapping[str, float] = field(default_factory=dict)


class StateTable:
    """The table of one cluster.

    Every method raises AwsUnavailable, AccessDenied or AwsRefused as ``errors.translated`` does.
    ``clock`` gives seconds since the epoch.
    """

    def __init__(
        self, clients: "Clients", table: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._clients = clients
        self._table = table
        self._clock = clock

    def acquire(self, owner: str, lasts_s: float) -> Lease | Held:
        """Take the lease for ``lasts_s`` seconds, or mark it dirty where another run has it.

        One of the two has happened on return, so what made this run start is looked at by
        somebody. ``owner`` is this run's own: two runs of one owner would share the lease.
        """
        for _ in range(_TRIES):
            now_ms = int(self._clock() * 1000)
            taken = self._updated(
                UpdateExpression="SET #owner = :me, expires_at_ms = :until, dirty = :no "
                "ADD fencing :one",
                # Our own, if an answer was lost on the way and boto asked again.
                ConditionExpression="attribute_not_exists(#owner) OR expires_at_ms < :now "
                "OR #owner = :me",
                ExpressionAttributeValues={
                    ":me": {"S": owner},
                    ":until": {"N": str(now_ms + int(lasts_s * 1000))},
                    ":now": {"N": str(now_ms)},
                    ":no": {"BOOL": False},
                    ":one": {"N": "1"},
                },
                ReturnValues="ALL_NEW",
            )
            if taken:
                return Lease(owner, int(taken["Attributes"]["fencing"]["N"]))
            told = self._updated(
                UpdateExpression="SET dirty = :yes",
                ConditionExpression="attribute_exists(#owner) AND expires_at_ms >= :now",
                ExpressionAttributeValues={":yes": {"BOOL": True}, ":now": {"N": str(now_ms)}},
                ReturnValues="ALL_NEW",
            )
            if told:
                item = told["Attributes"]
                return Held(item["owner"]["S"], int(item["expires_at_ms"]["N"]) / 1000)
            # It was let go between the two: take it.
        raise AwsUnavailable(
            f"The lease in table {self._table} changed hands {_TRIES} times while it was asked for:"
            " too many runs at once. Try again."
        )

    def release(self, lease: Lease, *, even_if_dirty: bool) -> bool:
        """Let go of the lease; False if it was dirty, is so no more, and is still held.

        A lease that is lost already counts as let go of.
        """
        values = _named(lease)
        clean = "" if even_if_dirty else " AND dirty = :no"
        released = self._updated(
            UpdateExpression="REMOVE #owner",
            ConditionExpression=_OURS + clean,
            ExpressionAttributeValues=values | ({} if even_if_dirty else {":no": {"BOOL": False}}),
        )
        return bool(released) or even_if_dirty or not self.heed(lease)

    def heed(self, lease: Lease) -> bool:
        """Tell whether another run has marked our lease dirty, and make it clean again."""
        told = self._updated(
            UpdateExpression="SET dirty = :no",
            ConditionExpression=f"{_OURS} AND dirty = :yes",
            ExpressionAttributeValues=_named(lease)
            | {":yes": {"BOOL": True}, ":no": {"BOOL": False}},
        )
        return told is not None

    def marker(self) -> Remembered:
        """Read what the marker says."""
        with translated("dynamodb", f"table {self._table}"):
            item = self._clients.dynamodb.get_item(
                TableName=self._table, Key=_MARKER_KEY, ConsistentRead=True
            ).get("Item")
        if item is None:
            return Remembered(Marker.ABSENT)
        marker = Marker(item["state"]["S"])
        if marker is Marker.FORMED:
            forgotten = item.get("forgotten", {"M": {}})["M"].items()
            return Remembered(
                marker,
                moving=parsed(item.get("moving", {"S": ""})["S"]),
                forgotten={node_id: float(at_s["N"]) for node_id, at_s in forgotten},
            )
        settings = {
            task: {name: value["S"] for name, value in pairs["M"].items()}
            for task, pairs in item["settings"]["M"].items()
        }
        return Remembered(marker, Forming(settings))

    def begin_forming(
        self, lease: Lease, settings: Mapping[str, Mapping[str, str]], *, again: bool = False
    ) -> None:
        """Put FORMING in the marker; ``settings`` is as in ``Forming``.

        ``again`` says that the cluster was formed already, and that nothing is left of it.

        Raises:
            LeaseLost: the lease is not ours any more.
            MarkerChanged: the cluster was formed already, or with ``again``, was not.

        """
        before = Marker.FORMED if again else Marker.FORMING
        absent = "" if again else "attribute_not_exists(#state) OR "
        values: dict[str, Any] = {
            task: {"M": {name: {"S": value} for name, value in pairs.items()}}
            for task, pairs in settings.items()
        }
        self._mark(
            lease,
            {
                "Put": {
                    "TableName": self._table,
                    "Item": self._marker_item(lease, Marker.FORMING) | {"settings": {"M": values}},
                    "ConditionExpression": f"{absent}#state = :before",
                    "ExpressionAttributeNames": {"#state": "state"},
                    "ExpressionAttributeValues": {":before": {"S": before.value}},
                }
            },
        )

    def finish_forming(self, lease: Lease) -> None:
        """Put FORMED in the marker.

        Raises:
            LeaseLost: the lease is not ours any more.

        """
        item = self._marker_item(lease, Marker.FORMED)
        self._mark(lease, {"Put": {"TableName": self._table, "Item": item}})

    def note_moving(self, lease: Lease, slots: SlotRanges) -> None:
        """Write down which slots may be in flight from now on; none is none.

        Raises:
            LeaseLost: the lease is not ours any more.
            MarkerChanged: the cluster is not formed.

        """
        self._note(lease, "moving", {"S": described(slots)})

    def note_forgotten(self, lease: Lease, at_s: Mapping[str, float]) -> None:
        """Write down which nodes were forgotten lately: their ids, and when.

        Raises:
            LeaseLost: the lease is not ours any more.
            MarkerChanged: the cluster is not formed.

        """
        values = {node_id: {"N": f"{when_s:.3f}"} for node_id, when_s in at_s.items()}
        self._note(lease, "forgotten", {"M": values})

    def record(self, lease: Lease, summary: Mapping[str, str]) -> None:
        """Remember a run for ``HISTORY_S`` seconds, under its fencing number."""
        item: dict[str, Any] = {
            "kind": {"S": "run"},
            "id": {"S": f"{lease.fencing:012}"},
            "at": {"S": self._now()},
            "ttl": {"N": str(int(self._clock()) + HISTORY_S)},
        }
        item |= {name: {"S": value} for name, value in summary.items()}
        with translated("dynamodb", f"table {self._table}"):
            self._clients.dynamodb.put_item(TableName=self._table, Item=item)

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")

    def _marker_item(self, lease: Lease, marker: Marker) -> dict[str, Any]:
        state = {"state": {"S": marker.value}, "at": {"S": self._now()}}
        return _MARKER_KEY | state | {"fencing": {"N": str(lease.fencing)}}

    def _note(self, lease: Lease, name: str, value: Mapping[str, Any]) -> None:
        """Write one attribute of the marker of a formed cluster."""
        self._mark(
            lease,
            {
                "Update": {
                    "TableName": self._table,
                    "Key": _MARKER_KEY,
                    "UpdateExpression": "SET #name = :value, #at = :at, fencing = :fencing",
                    "ConditionExpression": "#state = :formed",
                    "ExpressionAttributeNames": {"#name": name, "#at": "at", "#state": "state"},
                    "ExpressionAttributeValues": {
                        ":value": value,
                        ":at": {"S": self._now()},
                        ":fencing": {"N": str(lease.fencing)},
                        ":formed": {"S": Marker.FORMED.value},
                    },
                }
            },
        )

    def _mark(self, lease: Lease, marking: "TransactWriteItemTypeDef") -> None:
        """Write the marker if the lease is ours still, and the write's own condition holds."""
        check: ConditionCheckTypeDef = {
            "TableName": self._table,
            "Key": _LEASE_KEY,
            "ConditionExpression": _OURS,
            "ExpressionAttributeNames": _OWNER,
            "ExpressionAttributeValues": _named(lease),
        }

        def write() -> object:
            dynamodb = self._clients.dynamodb
            try:
                return dynamodb.transact_write_items(
                    TransactItems=[{"ConditionCheck": check}, marking]
                )
            except dynamodb.exceptions.TransactionCanceledException as error:
                reasons = [reason.get("Code") for reason in error.response["CancellationReasons"]]
                if reasons[0] == "ConditionalCheckFailed":
                    raise LeaseLost(
                        f"The lease (fencing number {lease.fencing}) in table {self._table} has "
                        "expired or is another run's: this run must not write the marker. The next "
                        "run continues."
                    ) from error
                if reasons[1] == "ConditionalCheckFailed":
                    raise MarkerChanged(
                        f"The marker in table {self._table} does not say any more what it did when "
                        "this was planned: another run has changed it."
                    ) from error
                if "TransactionConflict" in reasons:
                    return None
                raise

        self._unconflicted(write)

    def _updated(self, **update: Any) -> "UpdateItemOutputTypeDef | None":  # noqa: ANN401 - as boto's
        """Update the lease; None where the condition does not hold."""
        lease = {"TableName": self._table, "Key": _LEASE_KEY, "ExpressionAttributeNames": _OWNER}
        request = cast("UpdateItemInputTypeDef", lease | update)

        def write() -> "tuple[UpdateItemOutputTypeDef | None] | None":
            dynamodb = self._clients.dynamodb
            try:
                return (dynamodb.update_item(**request),)
            except dynamodb.exceptions.ConditionalCheckFailedException:
                return (None,)
            except dynamodb.exceptions.TransactionConflictException:
                return None

        return self._unconflicted(write)[0]

    def _unconflicted(self, write: Callable[[], _Answer | None]) -> _Answer:
        """Repeat a write that met another one on the same item (it answers None then)."""
        for _ in range(_TRIES):
            with translated("dynamodb", f"table {self._table}"):
                answer = write()
            if answer is not None:
                return answer
        raise AwsUnavailable(
            f"Table {self._table} was written by others at each of {_TRIES} tries: try again."
        )


def _named(lease: Lease) -> dict[str, Any]:
    """Give the values that ``_OURS`` compares with."""
    return {":me": {"S": lease.owner}, ":fencing": {"N": str(lease.fencing)}}
