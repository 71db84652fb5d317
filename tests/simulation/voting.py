"""Elections: replicas of failed masters ask all masters for their votes; manual ones, too."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .replication import NEVER, catch_up, source_of
from .server import Server

if TYPE_CHECKING:
    from .network import Network

MANUAL_S = 0.05
"""What a manual failover takes."""
MANUAL_LASTS_S = 5.0
"""For so long one that was ordered may begin (``CLUSTER_MF_TIMEOUT``)."""


@dataclass(slots=True, eq=False)
class Ballot:
    """A request for votes; it stays open for a while, for those who get it late."""

    epoch: int
    sent_s: float
    ordered: bool
    votes: int = 0
    late: list[Server] = field(default_factory=list)
    """Those who hang, and will find the request when they go on."""


def hold_elections(net: "Network", servers: Iterable[Server]) -> float:
    """Let every replica of a failed master try its luck; when the next one does."""
    due_s = NEVER
    for server in servers:
        _count_late_votes(net, server)
        master = server.master
        if master is not None and master.slots and net.now_s < server.ordered_until_s:
            ask(net, server, ordered=True)
            if server.me.master:
                continue
            due_s = min(due_s, _closed_s(server))
        if master is None or not master.fail or not master.slots or not _valid(server):
            server.election_s = None
            continue
        if _counts_again(net, server):
            net.elected.append(server)
            continue
        if server.election_s is None:
            delay_s = 0.5 + 0.5 * net.rng.random() + _rank(server)
            server.election_s = max(net.now_s, _closed_s(server)) + delay_s
        elif net.now_s >= server.election_s:
            server.election_s = None
            ask(net, server, ordered=False)
            if server.me.master:
                continue
            server.election_s = _closed_s(server) + 0.5 + 0.5 * net.rng.random()
        due_s = min(due_s, server.election_s)
    return due_s


def _valid(server: Server) -> bool:
    """Whether it may be elected, and cluster-replica-validity-factor finds its data new enough.

    That of one that has never had a link is as old as can be.
    """
    link = server.link
    if server.barred or not (link and link.followed):
        return False
    age_s = server.net.now_s - link.lost_s if link.lost_s else 0.0
    return server.offset > 0 and age_s <= 10 * server.timeout_s + 10


def _closed_s(server: Server) -> float:
    """When it may ask again (``auth_retry_time``)."""
    return server.ballot.sent_s + 4 * max(server.timeout_s, 1.0) if server.ballot else 0.0


def _rank(server: Server) -> int:
    """clusterGetSlaveRank: replicas that have more data come first."""
    return sum(
        1
        for entry in server.table.values()
        if entry is not server.me
        and entry.master_id == server.me.master_id
        and entry.offset > server.offset
    )


def ask(net: "Network", server: Server, *, ordered: bool) -> None:
    """Ask for votes, and take over with a majority of them.

    Redis asks no second time for a while, whoever orders it, and does then if the order is not too
    old; Valkey does at once if it is ordered.
    """
    if net.now_s < _closed_s(server):
        _counts_again(net, server)
        return
    server.current_epoch += 1
    server.ballot = ballot = Ballot(server.current_epoch, net.now_s, ordered)
    server.touch()
    for voter in net.connected(server):
        if voter.frozen:
            ballot.late.append(voter)
        else:
            ballot.votes += _votes(voter, server, ballot)
    _close(net, server, ballot)


def _counts_again(net: "Network", server: Server) -> bool:
    """Redis 7.0 counts the votes of its last election for a while, and keeps the epoch of that one.

    So who was elected, and then replaced as planned, may make a claim that nobody believes.
    """
    ballot = server.ballot
    if (
        net.atomic
        or ballot is None
        or net.now_s - ballot.sent_s > 2 * max(server.timeout_s, 1.0)
        or ballot.votes < server.size() // 2 + 1
    ):
        return False
    server.promote(max(server.me.epoch, ballot.epoch))
    return True


def _count_late_votes(net: "Network", server: Server) -> None:
    ballot = server.ballot
    if ballot is None or not ballot.late or server.me.master:
        return
    if net.now_s - ballot.sent_s > 2 * max(server.timeout_s, 1.0):
        ballot.late.clear()
        return
    for voter in [voter for voter in ballot.late if not voter.frozen]:
        ballot.late.remove(voter)
        if voter.alive and net.reaches(voter, server):
            ballot.votes += _votes(voter, server, ballot)
    # It may follow another master by now.
    if server.master and (server.master.fail or net.now_s < server.ordered_until_s):
        _close(net, server, ballot)


def _close(net: "Network", server: Server, ballot: Ballot) -> None:
    if server.master is not None and ballot.votes >= server.size() // 2 + 1:
        ballot.late.clear()
        server.promote(ballot.epoch)
        if not ballot.ordered:
            net.elected.append(server)


def _votes(voter: Server, candidate: Server, ballot: Ballot) -> bool:
    """clusterSendFailoverAuthIfNeeded"""
    epoch = ballot.epoch
    entry = voter.table.get(candidate.id)
    if not voter.me.master or not voter.me.slots or entry is None:
        return False
    voter.current_epoch = max(voter.current_epoch, epoch)
    master = voter.table.get(entry.master_id) if entry.master_id else None
    now_s = voter.net.now_s
    claims = candidate.master
    if (
        epoch < voter.current_epoch
        or voter.last_vote_epoch == voter.current_epoch
        or entry.master
        or master is None
        or claims is None
        or not (master.fail or ballot.ordered)
        or now_s - master.voted_at_s < 2 * voter.timeout_s
        or any(o.slots & claims.slots and o.epoch > claims.epoch for o in voter.table.values())
    ):
        return False
    master.voted_at_s = now_s
    voter.last_vote_epoch = voter.current_epoch
    voter.touch()
    return True


def fail_over(net: "Network", server: Server, *, forced: bool) -> None:
    """A manual failover that was accepted comes to its end, or to nothing."""
    if not server.alive or server.frozen or server.me.master:
        return
    if not forced:
        source = source_of(net, server)
        if source is None or source.id != server.me.master_id:
            return
        catch_up(server, source)  # the master has paused its clients until this is so
    server.ordered_until_s = net.now_s + MANUAL_LASTS_S
    net.poke()
    ask(net, server, ordered=True)


def take_over(net: "Network", server: Server) -> None:
    """CLUSTER FAILOVER TAKEOVER: nobody is asked (clusterBumpConfigEpochWithoutConsensus)."""
    server.current_epoch = server.highest_epoch() + 1
    server.promote(server.current_epoch)
