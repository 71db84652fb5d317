"""Elections: replicas of failed masters ask all masters for their votes; manual ones, too."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .replication import NEVER, catch_up, source_of
from .server import Server

if TYPE_CHECKING:
    from .network import Network

MANUAL_S = 0.05
"""What a manual failover takes."""


def hold_elections(net: "Network", servers: Iterable[Server]) -> float:
    """Let every replica of a failed master try its luck; when the next one does."""
    due_s = NEVER
    for server in servers:
        master = server.master
        if master is None or not master.fail or not master.slots:
            server.election_s = None
            continue
        if server.election_s is None:
            server.election_s = net.now_s + 0.5 + 0.5 * net.rng.random() + _rank(server)
        elif net.now_s >= server.election_s:
            if elect(net, server, ordered=False):
                net.elected.append(server)
                continue
            server.election_s = net.now_s + 4 * max(server.timeout_s, 1.0)
        due_s = min(due_s, server.election_s)
    return due_s


def _rank(server: Server) -> int:
    """clusterGetSlaveRank: replicas that have more data come first."""
    return sum(
        1
        for entry in server.table.values()
        if entry is not server.me
        and entry.master_id == server.me.master_id
        and entry.offset > server.offset
    )


def elect(net: "Network", server: Server, *, ordered: bool) -> bool:
    """Ask for votes, and take over with a majority of them."""
    server.current_epoch += 1
    epoch = server.current_epoch
    server.touch()
    votes = sum(_votes(voter, server, epoch, ordered=ordered) for voter in net.reachable(server))
    if votes < server.size() // 2 + 1:
        return False
    server.promote(epoch)
    return True


def _votes(voter: Server, candidate: Server, epoch: int, *, ordered: bool) -> bool:
    """clusterSendFailoverAuthIfNeeded"""
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
        or not (master.fail or ordered)
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
    elect(net, server, ordered=True)


def take_over(net: "Network", server: Server) -> None:
    """CLUSTER FAILOVER TAKEOVER: nobody is asked (clusterBumpConfigEpochWithoutConsensus)."""
    server.current_epoch = server.highest_epoch() + 1
    server.promote(server.current_epoch)
