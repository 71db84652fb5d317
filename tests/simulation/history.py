"""One history: a cluster forms, things go wrong for a while, and then it has to be whole again."""

import asyncio
import random
import traceback
from collections.abc import Collection
from dataclasses import dataclass, field

from redis_fargate.controller.report import step_report
from redis_fargate.controller.result import Outcome
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import OnDataLoss, Spec
from redis_fargate.topology.view import Marker, View

from . import slots as sets
from .clock import TimeStandsStill, VirtualLoop
from .commands import answer
from .controlling import Controller, virtual_time
from .ecs import Service
from .faults import MENU, PLANNED
from .invariants import (
    Broken,
    Data,
    Swings,
    check_epochs,
    check_reachable,
    check_whole,
    on_their_way,
    owner_of,
)
from .network import Network
from .replication import catch_up, source_of
from .server import KEY_SLOTS, KEYS, Server, key_bits
from .wire import Fuse

WRITE_S = 3.0
"""How often a client writes."""
CALM_S = 60.0
"""For so long after a fault ECS may be let stop somebody who is needed: a tick, and some more."""
PATIENCE_S = 1500.0
"""How long a cluster may take to be whole again: many ticks, and an expired lease."""
LOOK_S = 20.0
"""How often it is looked whether it is."""


@dataclass(frozen=True)
class Ended:
    """How a history went."""

    seed: int
    broken: str = ""
    """Which invariant did not hold; empty if all did."""
    hopeless: str = ""
    """Why it could not be expected to become whole; empty if it was."""
    runs: int = 0
    log: tuple[str, ...] = field(default=(), repr=False)


class History:
    """Everything in it comes from the seed."""

    def __init__(self, seed: int, *, verbose: bool = False) -> None:
        self.seed = seed
        self.verbose = verbose
        """Whether the log has every plan."""
        self.rng = rng = random.Random(seed)
        self.loop = VirtualLoop()
        self.net = Network(self.loop, rng)
        self.log: list[str] = []
        self.spec = _spec(rng)
        self.controller = Controller(self.loop, self.net, rng, self.spec, self.note_run)
        self.service = Service(
            self.net, rng, self.spec.task_count, self.controller.event, self.note
        )
        self.service.stopping = self._stopping
        self.controller.service = self.service
        self.data = Data(self.net)
        self.swings: Swings | None = None
        self.hopeless = ""
        self._said = ""
        self._calm_s = 0.0
        self._known: set[Server] = set()

    def note(self, text: str) -> None:
        self.log.append(f"{self.net.now_s:8.2f}  {text}")

    def note_run(self, owner: str, text: str) -> None:
        """What a run says, unless the last one has said the same."""
        if text != self._said:
            self.note(f"{owner}: {text}")
        self._said = text

    def tables(self) -> list[str]:
        """What every server believes."""
        lines = []
        for server in self.net.servers():
            lines.append(
                f"{server}: epoch {server.current_epoch}, {len(server.keys)} keys, "
                f"{server.offset}, link {server.link}"
            )
            for line in str(answer(server, ("CLUSTER", "NODES"))).splitlines():
                words = line.split()
                lines.append(
                    "    " + " ".join((words[0][:6], *words[1:3], words[3][:6], *words[6:]))
                )
        return lines

    def play(self) -> Ended:
        broken = ""
        with virtual_time(self.loop, self._planned):
            try:
                self.loop.run(self._play())
            except Broken as error:
                broken = str(error)
                self.log += self.tables()
            except Exception as error:  # noqa: BLE001 - a bug is to be found by its seed, too
                broken = repr(error)
                self.log += traceback.format_exc().splitlines()
            try:
                self.loop.run(self.controller.abandon())
            except TimeStandsStill as error:
                broken = broken or repr(error)
        return Ended(self.seed, broken, self.hopeless, self.controller.runs, tuple(self.log))

    async def _play(self) -> None:
        rng = self.rng
        self.note(f"{self.spec}")
        self.service.schedule()
        self.controller.tick()
        self._writing()
        early = rng.random() < 0.3
        if not early:
            await self._formed()
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            await asyncio.sleep(rng.choice((0.5, 5.0, 40.0)) * rng.random())
            faults, weights = zip(*MENU, strict=True)
            fault = rng.choices(faults, weights)[0]
            self._before_fault()
            self.note(fault(self, rng))
            if fault not in PLANNED:
                self._calm_s = self.net.now_s + CALM_S
        await asyncio.sleep(rng.random() * 30)
        self.controller.unreliable = self.net.loses_answers = False
        self.note("nothing goes wrong any more")
        await self._whole()

    async def _formed(self) -> None:
        """Until the cluster is formed; nobody disturbs that but who kills runs."""
        while self.net.now_s < PATIENCE_S:
            if self.controller.table.marker is Marker.FORMED:
                return
            await asyncio.sleep(10)
        raise Broken(f"I4: not formed after {PATIENCE_S} s without faults")

    async def _whole(self) -> None:
        """Until all is as wanted, and stays so (I4, I5)."""
        deadline_s = self.net.now_s + PATIENCE_S
        while True:
            await asyncio.sleep(LOOK_S)
            self._check()
            if self.hopeless:
                return
            settled = not self.service.working and not self.controller.running
            if settled and self.swings is None:
                self.swings = Swings()
            try:
                masters = self.controller.settings.spec.master_count
                strays = sets.ALL if self.service.reused else self.data.undeleted
                check_whole(self.service.servers(), masters, strays=strays)
                self.service.check_steady()
                if settled:
                    break
            except Broken as error:
                if self.net.now_s > deadline_s:
                    self._judge_loss()  # who was the last holder may have given up since
                    if self.hopeless:
                        return
                    last = self.controller.last
                    raise Broken(f"{error}; the last run said {last and last.verdict}") from None
        await self._stays()

    async def _stays(self) -> None:
        deadline_s = self.net.now_s + PATIENCE_S
        result = await self.controller.run(Fuse())
        while result is None or result.outcome is not Outcome.CONVERGED:
            if self.net.now_s > deadline_s:
                raise Broken(f"I4: it never converges: {result and result.verdict}")
            await asyncio.sleep(LOOK_S)
            result = await self.controller.run(Fuse())
        fuse = Fuse()
        result = await self.controller.run(fuse)
        if fuse.written:
            raise Broken(f"I5: {fuse.written} writing commands on a converged cluster")
        assert result is not None
        if result.plan:
            raise Broken(f"I4: a converged cluster has the plan {result.plan}")
        self._check()
        self.data.served()

    # -- looking on --------------------------------------------------------------------------------

    def _planned(self, view: View, made: Plan) -> None:
        if self.verbose:
            for step in made.steps:
                self.note(f"  plans to {step_report(step).step}")
        check_reachable(view, made)
        self.data.check_adopted(made)
        if self.swings is not None:
            self.swings.look(view, made)
        self._check()

    def _check(self) -> None:
        self._attribute()
        self.data.check()
        check_epochs(self.net.servers())

    def _stopping(self, stopped: Collection[Server]) -> None:
        """ECS stops somebody who is not protected."""
        net = self.net
        self._attribute()
        servers = self.service.servers()
        if net.cut or net.unseen or any(server.frozen for server in servers):
            self._calm_s = net.now_s + CALM_S
        formed = self.controller.table.marker is Marker.FORMED  # else nobody has been told yet
        over = self.controller.stopped or self.hopeless
        if formed and not over and net.now_s >= self._calm_s:
            self.data.check_stopped(stopped, self.service.staying())

    def _before_fault(self) -> None:
        self._check()

    def _attribute(self) -> None:
        """Write off what faults have cost since the last look."""
        for winner in self.net.elected:
            self.note(f"{winner} was elected")
            self.data.excuse_election(winner)
        dead = {server for server in self._known if not server.alive}
        for server in dead:
            self.data.excuse_owned(server)
            self.data.excuse_handed_over(server, server.importing)
            self.data.excuse_undeleted(server)
        for replica in self.net.misled:
            self.note(f"{replica} followed its master's address to another server")
        misled = bool(self.net.misled)
        if misled or dead:
            self.data.excuse()
        self.net.elected.clear()
        self.net.misled.clear()
        self._known = set(self.net.servers())
        if misled or dead:
            self._judge_loss()

    def _judge_loss(self) -> None:
        """Whether there is anybody left to become whole from."""
        if self.hopeless or self.controller.table.marker is not Marker.FORMED:
            return
        if self.controller.on_data_loss is OnDataLoss.REBUILD_EMPTY:
            return
        served = heired = 0
        servers = self.net.servers()
        alive = {server.id for server in servers}
        for server in servers:
            served |= server.me.slots
            master, link = server.master, server.link
            if master is None or master.id in alive:
                continue  # what it has given away its replicas may not have heard
            if link and server.offset and not server.other_data:
                # No keys may be all of the shard, unless they are still another one's; those of
                # slots that it has given away may be another one's, too. Those of slots in flight
                # may be all that its master had been given.
                empty = not server.keys and link.followed and not server.barred
                own = master.slots | (0 if server.barred else on_their_way(servers, master.id))
                tells = empty or own & key_bits(server.keys)
                heired |= master.slots if tells else 0
        if served | heired != sets.ALL:
            self.hopeless = "a shard has no holder left"

    # -- a client ----------------------------------------------------------------------------------

    def _writing(self) -> None:
        self.loop.call_later(WRITE_S, self._writing)
        self._attribute()
        key = self.rng.choice(KEYS)
        owner = self._asked(key, owner_of(self.net.servers(), key))
        if owner is None:
            return
        version = self.data.acknowledged.get(key, 0) + 1
        owner.keys[key] = version
        owner.offset += 10
        self.data.acknowledged[key] = version
        for server in self.net.servers():
            if server.link and source_of(self.net, server) is owner and self.rng.random() < 0.9:
                catch_up(server, owner)

    def _asked(self, key: str, owner: Server | None) -> Server | None:
        """Who takes a write in the end: of a slot in flight, perhaps whom the owner names (ASK)."""
        if owner is None or not self._answers(owner):
            return None
        slot = KEY_SLOTS[key]
        entry = owner.table.get(owner.migrating.get(slot, ""))
        if key in owner.keys or entry is None:
            return owner
        other = self.net.at.get(entry.address)
        if other is None or slot not in other.importing or not self._answers(other):
            return None
        return other

    def _answers(self, server: Server) -> bool:
        """Whether it takes a write that is to last: Redis loses those to who has been replaced."""
        if server.frozen or server in self.net.cut or server.id in self.net.replaced:
            return False
        server.judge_state()
        return server.ok


def _spec(rng: random.Random) -> Spec:
    masters = rng.choices((1, 2, 3, 4, 5, 12), (1, 1, 12, 2, 2, 0.3))[0]
    return Spec(masters, masters * rng.choice((1, 1, 1, 2)))


def play(seed: int, *, verbose: bool = False) -> Ended:
    return History(seed, verbose=verbose).play()
