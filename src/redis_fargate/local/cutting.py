"""Cuts nodes off from their peers, and from nobody else, on one machine and without root.

All addresses of loopback share one network stack, and only root may drop packets in it. But a node
is looked for at the bus port that it announces, and may announce another at any time. So all nodes
announce one where nobody listens; once those that are to be cut off and their peers have learned
of each other's, and are disconnected by that, the peers announce their own ports again. Those cut
off do not hear of it. No process has to run for it.

Who is met (CLUSTER MEET) at its true port tells by its answer which one it announces, and is looked
for there from then on: pings alone would spread that in many seconds. For the same reason a cut
lasts until somebody new is introduced to who is cut off: what that one tells of others is believed.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from redis_fargate.local.blueprint import BUS_PORT, REDIS_PORT
from redis_fargate.local.errors import CannotCut
from redis_fargate.nodes.connection import Command, Connections
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.parse import NodeTable
from redis_fargate.nodes.polling import attempts, together
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.errors import RedisFargateError

NOWHERE = 1
"""A port where nobody listens."""
_PATIENCE_S = 30.0


async def cut(
    addresses: Collection[str], isolated: Collection[str], settings: ConnectionSettings
) -> None:
    """Cut nodes off from all others, and from each other; ``addresses`` are those of all nodes.

    It is the bus that is cut: replicas go on to copy from their masters.

    Raises:
        CannotCut: some are cut off already, or do not know each other yet.
        NodeUnreachable, CommandRefused: a node does not do as it is told.

    """
    async with Connections(settings) as connections:
        bus = _Bus(connections, addresses)
        await bus.check()
        try:
            await bus.announce(NOWHERE, addresses)
            await bus.learned(NOWHERE, lambda pair: not pair.isdisjoint(isolated))
            await bus.announce(0, set(addresses) - set(isolated))
            await bus.learned(BUS_PORT, lambda pair: pair.isdisjoint(isolated))
        except BaseException:
            await bus.reconnect()
            raise


async def mend(addresses: Collection[str], settings: ConnectionSettings) -> list[str]:
    """Let all nodes hear each other again, whatever became of a ``cut``; who was cut off.

    Raises:
        CannotCut: they do not find each other.
        NodeUnreachable: a node does not answer.

    """
    async with Connections(settings) as connections:
        bus = _Bus(connections, addresses)
        tables = await bus.tables()
        await bus.reconnect()
    return [address for address, table in tables.items() if _is_cut(table)]


def _is_cut(table: NodeTable) -> bool:
    return table.myself.bus_port == NOWHERE


@dataclass(frozen=True, slots=True)
class _Bus:
    """Where nodes look for each other."""

    connections: Connections
    addresses: Collection[str]

    async def tables(self) -> Mapping[str, NodeTable]:
        """Ask all nodes for their tables."""

        async def table(address: str) -> NodeTable:
            return await node_table(await self.connections.at(address))

        tables = await together(map(table, self.addresses))
        return dict(zip(self.addresses, tables, strict=True))

    async def check(self) -> None:
        """See that all nodes know each other, and none is cut off."""
        tables = await self.tables()
        if already := [address for address, table in tables.items() if _is_cut(table)]:
            raise CannotCut(
                f"{', '.join(already)} of the nodes are cut off already: let them hear the others "
                "first, with `redis-fargate local fault mend`, and cut off all at once."
            )
        for address, table in tables.items():
            known = {peer.address for peer in table.peers if not peer.in_handshake}
            if strangers := tables.keys() - known - {address}:
                raise CannotCut(
                    f"The node at {address} does not know {', '.join(sorted(strangers))} yet: "
                    "wait until `redis-fargate local status` says that all is well."
                )

    async def announce(self, port: int, addresses: Iterable[str]) -> None:
        """Let nodes announce a bus port; 0 is their own."""
        command = ("CONFIG", "SET", "cluster-announce-bus-port", port)
        await together(self._send(address, [command]) for address in addresses)

    async def reconnect(self) -> None:
        """Let all nodes find each other at their own ports."""
        try:
            await self.announce(0, self.addresses)
            await self.learned(BUS_PORT, lambda _: True)
        except RedisFargateError as error:
            raise CannotCut(
                f"{error} Some nodes may not find others now: once all of them answer, let "
                "`redis-fargate local fault mend` bring them together."
            ) from error

    async def learned(self, port: int, concerned: Callable[[frozenset[str]], bool]) -> None:
        """Let both of each pair that is concerned learn at which port the other is looked for.

        What was said before may still be on its way: so it has to be seen twice.
        """
        times_seen = 0
        async for _ in attempts(_PATIENCE_S):
            tables = await self.tables()
            pairs = [
                (address, peer)
                for address, table in tables.items()
                for peer in table.peers
                if peer.address in tables and concerned(frozenset((address, peer.address)))
            ]
            # An answer that is still to come would tell of what is announced by then.
            met = [(address, peer.address) for address, peer in pairs if peer.in_handshake]
            meetings: dict[str, list[Command]] = {}
            for address, peer in pairs:
                if peer.bus_port != port and (address, peer.address) not in met:
                    meet = ("CLUSTER", "MEET", peer.address, REDIS_PORT, BUS_PORT)
                    meetings.setdefault(address, []).append(meet)
            times_seen = 0 if met or meetings else times_seen + 1
            if times_seen == 2:  # noqa: PLR2004
                return
            await together(self._send(address, meets) for address, meets in meetings.items())
        raise CannotCut(
            f"Not all nodes have heard of each other's bus ports in {_PATIENCE_S:g} s: has "
            "anything else gone wrong in the cluster meanwhile?"
        )

    async def _send(self, address: str, commands: Collection[Command]) -> None:
        await (await self.connections.at(address)).pipeline(*commands)
