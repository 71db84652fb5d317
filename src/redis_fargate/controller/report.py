"""What was seen and planned, as the rows and sentences of a result."""

from typing import assert_never

from redis_fargate.controller.result import NodeReport, ShardReport, StepReport
from redis_fargate.topology.health import Assessment, Shard
from redis_fargate.topology.slots import count, described
from redis_fargate.topology.steps import (
    AddSlots,
    AdoptSlots,
    AdvanceEpoch,
    AllowFailover,
    AwaitAgreement,
    AwaitHealthy,
    AwaitMigrations,
    BeginForming,
    BumpEpoch,
    ChangeSettings,
    CloseSlots,
    DropLeftovers,
    Failover,
    FinishForming,
    Forget,
    Meet,
    MoveSlots,
    NoteMoving,
    OpenSlots,
    Outrank,
    Protect,
    Release,
    Replicate,
    Reset,
    SetConfigEpoch,
    Step,
    Unprotect,
)
from redis_fargate.topology.view import Member, Role


def shard_reports(assessment: Assessment) -> tuple[ShardReport, ...]:
    """Report the shards, in the assessment's order."""
    return tuple(map(_shard_report, assessment.shards))


def other_reports(assessment: Assessment) -> tuple[NodeReport, ...]:
    """Report the tasks that are in no shard."""
    return tuple(_node_report(member, master=None) for member in assessment.others)


def step_report(step: Step) -> StepReport:
    """Report a step."""
    return StepReport(step.phase.value, _sentence(step), step.why)


def _shard_report(shard: Shard) -> ShardReport:
    return ShardReport(
        slots=described(shard.slots),
        slot_count=count(shard.slots),
        master=_node_report(shard.master, master=None) if shard.master else None,
        replicas=tuple(_node_report(replica, shard.master) for replica in shard.replicas),
    )


def _node_report(member: Member, master: Member | None) -> NodeReport:
    task, node = member.task, member.node
    detail = member.detail or ("" if task.running else "This task is starting or stopping.")
    if node is None:
        return NodeReport(
            task_id=task.id,
            zone=task.zone,
            address=task.address or "",
            node_id="",
            role=member.trouble.value if member.trouble else "",
            keys=0,
            used_memory_bytes=0,
            max_memory_bytes=0,
            offset=0,
            lag_bytes=None,
            link_up=None,
            version="",
            detail=detail,
        )
    lag_bytes = None
    if master and master.node and node.role is Role.REPLICA:
        # The two were asked at slightly different moments: behind by less than nothing is nothing.
        lag_bytes = max(0, master.node.replication.offset - node.replication.offset)
    return NodeReport(
        task_id=task.id,
        zone=task.zone,
        address=node.address,
        node_id=node.id,
        role="blank" if node.blank else node.role.value,
        keys=node.keys,
        used_memory_bytes=node.used_memory_bytes,
        max_memory_bytes=node.max_memory_bytes,
        offset=node.replication.offset,
        lag_bytes=lag_bytes,
        link_up=node.replication.link_up,
        version=node.version,
        detail=detail,
    )


def _sentence(step: Step) -> str:  # noqa: C901, PLR0911, PLR0912 - one line a step
    match step:
        case BeginForming():
            return "write down that forming has begun"
        case ChangeSettings():
            return f"set {', '.join(map(' '.join, step.settings))} on {step.node}"
        case SetConfigEpoch():
            return f"set config epoch {step.epoch} on {step.node}"
        case AddSlots():
            return f"add slots {described(step.slots)} to {step.node}"
        case AdoptSlots():
            return f"let {step.node} serve the slots {described(step.slots)}, which are lost"
        case Meet():
            return f"introduce {', '.join(map(str, step.peers))} to {step.node}"
        case AwaitAgreement():
            return f"wait until {len(step.nodes)} nodes know each other"
        case Replicate():
            return f"make {step.node} a replica of {step.master}"
        case Failover():
            return f"let {step.node} take its master's place ({step.mode.value})"
        case BumpEpoch():
            return f"give {step.node} the newest config epoch"
        case AdvanceEpoch():
            return f"use up config epoch {step.epoch}, as a master has that most do not hear"
        case Outrank():
            return f"give {step.node} a newer config epoch than {step.rival}"
        case AwaitHealthy():
            return f"wait until {len(step.nodes)} nodes are well"
        case AllowFailover():
            return f"let {step.node} be elected if its master fails"
        case Reset():
            return f"make a master without slots of {step.node}"
        case NoteMoving():
            if not step.slots:
                return "write down that no slot is in flight"
            return f"write down that the slots {described(step.slots)} may be in flight"
        case MoveSlots():
            which = f"{count(step.slots)} slots ({described(step.slots)})"
            return f"move {which} from {step.source} to {step.target}"
        case AwaitMigrations():
            return f"wait until no slots are on their way from or to {len(step.nodes)} nodes"
        case OpenSlots():
            return f"open the slots {described(step.slots)} on {step.node}"
        case CloseSlots():
            return f"close the slots {described(step.slots)} on {step.node}"
        case DropLeftovers():
            return f"delete the keys of {step.node}, which has no slots"
        case FinishForming():
            return "write down that the cluster is formed"
        case Forget():
            return f"forget node {step.gone_id} of task {step.gone_task_id or 'unknown'}"
        case Protect():
            return f"protect {len(step.task_arns)} tasks"
        case Release():
            return f"protect {len(step.task_arns)} tasks no longer"
        case Unprotect():
            return f"let ECS stop task {step.node.task_id}"
        case _:
            assert_never(step)
