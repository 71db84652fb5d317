"""What a server answers, in the text of real ones; refusals in their words, without ``ERR``."""

import hashlib
from collections.abc import Callable, Sequence

from redis_fargate.nodes.connection import Command, Reply

from . import slots as sets
from .clock import EPOCH_S
from .server import BAN_S, BUS_PORT, KEY_SLOTS, PORT, Entry, Job, Server, key_bits, sets_of
from .voting import MANUAL_S, fail_over, take_over

LOST_ANSWERS = 0.02
"""How often a source does not hear that its target has the keys."""
JOB_S = (0.2, 8.0)
"""How long Valkey 9 takes to move slots by itself."""


class Refused(Exception):
    """An error reply."""


def answer(server: Server, command: Command) -> Reply:
    """Do what a command says.

    Raises:
        Refused: the server does not.
        NotImplementedError: the model does not know the command: it has to learn it.

    """
    words = [str(word) for word in command]
    if words[:2] == ["CLUSTER", "INFO"]:
        return _cluster_info(server)
    name, *given = words[1:] if words[0] == "CLUSTER" else words
    handler = _COMMANDS.get(name)
    if handler is None:
        raise NotImplementedError(f"the model of a server does not know {command}")
    return handler(server, given)


def _nodes(server: Server, given: Sequence[str]) -> Reply:
    lines = [_line(server, entry) for entry in server.table.values()]
    lines += [
        f"{_temporary_id(address)} {address}:{PORT}@{BUS_PORT} handshake - 0 0 0 disconnected"
        for address in server.handshakes
    ]
    return "\n".join(lines) + "\n"


def _line(server: Server, entry: Entry) -> str:
    mine = entry is server.me
    flags = "myself," if mine else ""
    flags += "master" if entry.master else "slave"
    flags += ",fail?" if entry.pfail else ",fail" if entry.fail else ""
    flags += ",noaddr" if entry.noaddr else ""
    if mine and server.barred:
        flags += ",nofailover"
    leader = server.table.get(entry.master_id) if entry.master_id else None
    epoch = leader.epoch if leader else entry.epoch
    linked = "connected" if mine or (entry.linked and not entry.noaddr) else "disconnected"
    slots = f" {sets.text(entry.slots)}" if entry.slots else ""
    if mine:
        slots += "".join(f" [{slot}->-{to}]" for slot, to in server.migrating.items())
        slots += "".join(f" [{slot}-<-{source}]" for slot, source in server.importing.items())
    return (
        f"{entry.id} {entry.address}:{PORT}@{BUS_PORT},{entry.hostname} {flags} "
        f"{entry.master_id or '-'} 0 {_pong_ms(server, entry)} {epoch} {linked}{slots}"
    )


def _pong_ms(server: Server, entry: Entry) -> int:
    """When it was last heard of: now, unless one of the two is cut off, or waits for an answer."""
    if entry is server.me or entry.noaddr:
        return 0
    net = server.net
    heard_s = net.now_s
    if entry.silent_since_s is not None:
        heard_s = entry.silent_since_s
    other = net.at.get(entry.address)
    if other is not None:
        mirror = other.table.get(server.id)
        if mirror is not None and mirror.silent_since_s is not None:
            heard_s = min(heard_s, mirror.silent_since_s)
        heard_s = min(heard_s, net.cut.get(other, heard_s))
    heard_s = min(heard_s, net.cut.get(server, heard_s))
    return int(1000 * (EPOCH_S + heard_s))


def _temporary_id(address: str) -> str:
    return hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()


def _cluster_info(server: Server) -> str:
    server.judge_state()
    assigned = served = failed = 0
    for entry in server.table.values():
        assigned |= entry.slots
        failed |= entry.slots if entry.fail else 0
        served |= 0 if entry.fail or entry.pfail else entry.slots
    leader = server.master or server.me
    return (
        f"cluster_state:{'ok' if server.ok else 'fail'}\r\n"
        f"cluster_slots_assigned:{assigned.bit_count()}\r\n"
        f"cluster_slots_ok:{served.bit_count()}\r\n"
        f"cluster_slots_fail:{failed.bit_count()}\r\n"
        f"cluster_known_nodes:{len(server.table) + len(server.handshakes)}\r\n"
        f"cluster_size:{server.size()}\r\n"
        f"cluster_current_epoch:{server.current_epoch}\r\n"
        f"cluster_my_epoch:{leader.epoch}\r\n"
    )


def _info(server: Server, given: Sequence[str]) -> Reply:
    role = "master" if server.link is None else "slave"
    text = (
        f"redis_version:7.2.4\r\nserver_time_usec:{int(1e6 * (EPOCH_S + server.net.now_s))}\r\n"
        "valkey_version:9.1.2\r\nused_memory:1000000\r\nmaxmemory:0\r\n"
        f"role:{role}\r\nmaster_repl_offset:{server.offset}\r\nloading:0\r\n"
        f"master_replid:{server.stream}\r\n"
    )
    if server.link is not None:
        status = "up" if server.link.up else "down"
        syncing = int(server.link.ready_s is not None)
        text += (
            f"master_host:{server.link.address}\r\nmaster_port:{PORT}\r\n"
            f"master_link_status:{status}\r\nslave_repl_offset:{server.offset}\r\n"
            f"master_sync_in_progress:{syncing}\r\n"
        )
        if not server.link.up:
            text += f"master_link_down_since_seconds:{1 if server.link.followed else -1}\r\n"
    if server.keys:
        text += f"db0:keys={len(server.keys)},expires=0,avg_ttl=0\r\n"
    return text


def _config(server: Server, given: Sequence[str]) -> Reply:
    verb, name, *value = given
    if verb == "GET":
        return [name, server.settings[name]] if name in server.settings else []
    server.configure(name, value[0])
    return "OK"


def _meet(server: Server, given: Sequence[str]) -> Reply:
    server.start_handshake(given[0])
    return "OK"


def _forget(server: Server, given: Sequence[str]) -> Reply:
    for address in server.handshakes:
        if _temporary_id(address) == given[0]:
            del server.handshakes[address]
            return "OK"
    entry = _known(server, given[0])
    if entry is server.me:
        raise Refused("I tried hard but I can't forget myself...")
    if server.me.master_id == entry.id:
        raise Refused("Can't forget my master!")
    server.banned[entry.id] = server.net.now_s + BAN_S
    server.net.loop.call_later(BAN_S + 1, server.touch)  # then others' word of it counts again
    del server.table[entry.id]
    for other in server.table.values():
        other.reports.pop(entry.id, None)
        if other.master_id == entry.id:
            other.master_id = None
    server.migrating = {s: to for s, to in server.migrating.items() if to != entry.id}
    server.importing = {s: source for s, source in server.importing.items() if source != entry.id}
    server.touch()
    return "OK"


def _known(server: Server, node_id: str) -> Entry:
    entry = server.table.get(node_id)
    if entry is None:
        raise Refused(f"Unknown node {node_id}")
    return entry


def _replicate(server: Server, given: Sequence[str]) -> Reply:
    entry = _known(server, given[0])
    if entry is server.me:
        raise Refused("Can't replicate myself")
    if not entry.master:
        raise Refused("I can only replicate a master, not a replica.")
    if server.me.master and (server.me.slots or server.keys):
        raise Refused("To set a master the node must be empty and without assigned slots.")
    server.other_data |= entry.id != server.me.master_id
    server.follow(entry)
    return "OK"


def _set_config_epoch(server: Server, given: Sequence[str]) -> Reply:
    if len(server.table) > 1 or server.handshakes:
        raise Refused(
            "The user can assign a config epoch only when the node does not know any other node."
        )
    if server.me.epoch:
        raise Refused("Node config epoch is already non-zero")
    server.me.epoch = int(given[0])
    server.current_epoch = max(server.current_epoch, server.me.epoch)
    server.touch()
    return "OK"


def _slots(given: Sequence[str]) -> int:
    bounds = [int(bound) for bound in given]
    bits = 0
    for first, last in zip(bounds[::2], bounds[1::2], strict=True):
        bits |= sets.mask(first, last)
    return bits


def _add_slots(server: Server, given: Sequence[str]) -> Reply:
    slots = _slots(given)
    busy = 0
    for entry in server.table.values():
        busy |= entry.slots & slots
    if busy:
        raise Refused(f"Slot {sets.ranges(busy)[0][0]} is already busy")
    server.judge_state()
    server.assign(server.me, slots)
    return "OK"


def _del_slots(server: Server, given: Sequence[str]) -> Reply:
    slots = _slots(given)
    for entry in server.table.values():
        entry.slots &= ~slots
    server.touch()
    return "OK"


def _failover(server: Server, given: Sequence[str]) -> Reply:
    how = given[0].upper() if given else ""
    if server.me.master:
        raise Refused("You should send CLUSTER FAILOVER to a replica")
    master = server.master
    if master is None:
        raise Refused("I'm a replica but my master is unknown to me")
    if (master.fail or not master.linked) and not how:
        raise Refused("Master is down or failed, please use CLUSTER FAILOVER FORCE")
    if how == "TAKEOVER":
        take_over(server.net, server)
    else:
        server.net.loop.call_later(
            MANUAL_S, lambda: fail_over(server.net, server, forced=how == "FORCE")
        )
    return "OK"


def _bump_epoch(server: Server, given: Sequence[str]) -> Reply:
    highest = server.highest_epoch()
    if server.me.epoch and server.me.epoch == highest:
        return f"STILL {server.me.epoch}"
    server.current_epoch = server.me.epoch = highest + 1
    server.touch()
    return f"BUMPED {server.me.epoch}"


def _set_slot(server: Server, given: Sequence[str]) -> Reply:
    slot, what, *other = int(given[0]), given[1].upper(), *given[2:3]
    bit = 1 << slot
    if not server.me.master:
        raise Refused("You can use SETSLOT only with masters.")
    if what == "STABLE":
        server.migrating.pop(slot, None)
        server.importing.pop(slot, None)
    elif what == "MIGRATING":
        if not server.me.slots & bit:
            raise Refused(f"I'm not the owner of hash slot {slot}")
        server.migrating[slot] = _master_of(server, other[0]).id
    elif what == "IMPORTING":
        if server.me.slots & bit:
            raise Refused(f"I'm already the owner of hash slot {slot}")
        server.importing[slot] = _master_of(server, other[0]).id
    else:
        _give(server, slot, _master_of(server, other[0]))
    server.touch()
    return "OK"


def _give(server: Server, slot: int, owner: Entry) -> None:
    """SETSLOT NODE"""
    bit = 1 << slot
    has_keys = any(KEY_SLOTS[key] == slot for key in server.keys)
    if has_keys and server.me.slots & bit and owner is not server.me:
        raise Refused(
            f"Can't assign hashslot {slot} to a different node while I still hold keys for this "
            "hash slot."
        )
    if not has_keys:
        server.migrating.pop(slot, None)
    server.assign(owner, bit)
    if owner is server.me and server.importing.pop(slot, None) is not None:
        highest = server.highest_epoch()
        if not server.me.epoch or server.me.epoch != highest:
            server.current_epoch = server.me.epoch = highest + 1
        server.net.broadcast(server)


def _master_of(server: Server, node_id: str) -> Entry:
    entry = _known(server, node_id)
    if not entry.master:
        raise Refused("Target node is not a master")
    return entry


def _keys_in_slot(server: Server, given: Sequence[str]) -> Reply:
    slot, most = int(given[0]), int(given[1])
    return [key for key in server.keys if KEY_SLOTS[key] == slot][:most]


def _count_keys_in_slot(server: Server, given: Sequence[str]) -> Reply:
    return sum(KEY_SLOTS[key] == int(given[0]) for key in server.keys)


def _ping(server: Server, given: Sequence[str]) -> Reply:
    return "PONG"


def _reset(server: Server, given: Sequence[str]) -> Reply:
    """CLUSTER RESET SOFT"""
    if server.me.master and server.keys:
        raise Refused("CLUSTER RESET can't be called with master nodes containing keys")
    if not server.me.master:
        server.keys, server.offset, server.stream = {}, 0, server.id
    server.me.master, server.me.master_id, server.me.slots = True, None, 0
    server.link = None
    server.table = {server.id: server.me}
    server.handshakes.clear()
    server.migrating.clear()
    server.importing.clear()
    server.touch()
    return "OK"


def _unlink(server: Server, given: Sequence[str]) -> Reply:
    """After ASKING."""
    bits = key_bits(dict.fromkeys(given, 0))
    if bits & ~(server.me.slots | sets_of(server.importing)):
        raise Refused("MOVED")
    return sum(server.keys.pop(key, None) is not None for key in given)


def _flush(server: Server, given: Sequence[str]) -> Reply:
    if not server.me.master:
        raise Refused("READONLY You can't write against a read only replica.")
    server.keys = {}
    server.offset += 10
    return "OK"


def _memory(server: Server, given: Sequence[str]) -> Reply:
    if given[1] in server.keys:
        return 100
    if KEY_SLOTS[given[1]] in server.migrating:
        raise Refused("ASK")
    return None


def _function(server: Server, given: Sequence[str]) -> Reply:
    raise Refused("unknown command 'FUNCTION'")  # Redis 6.2's


def _migrate(server: Server, given: Sequence[str]) -> Reply:
    """MIGRATE: the keys are here or there; on both for a moment, and if the answer is lost."""
    target = server.net.at.get(given[0])
    keys = [key for key in given[given.index("KEYS") + 1 :] if key in server.keys]
    if not keys:
        return "NOKEY"
    if target is None or target.frozen or not server.net.reaches(server, target):
        raise Refused("IOERR error or timeout reading to target instance")
    target.judge_state()
    bits = key_bits(dict.fromkeys(keys, 0))
    if not target.ok:
        raise Refused("Target instance replied with error: CLUSTERDOWN The cluster is down")
    if bits & ~(target.me.slots | sets_of(target.importing)) or not target.me.master:
        raise Refused("Target instance replied with error: MOVED")
    target.keys |= {key: server.keys[key] for key in keys}
    target.offset += 10
    if server.net.loses_answers and server.net.rng.random() < LOST_ANSWERS:
        raise Refused("IOERR error or timeout reading to target instance")
    for key in keys:
        del server.keys[key]
    server.offset += 10
    return "OK"


def _migration(server: Server, given: Sequence[str]) -> Reply:
    raise Refused("unknown subcommand 'MIGRATION'. Try CLUSTER HELP.")  # Redis 8.4's


def _migrations(server: Server, given: Sequence[str]) -> Reply:
    if not server.net.atomic:
        raise Refused("unknown subcommand 'GETSLOTMIGRATIONS'. Try CLUSTER HELP.")
    return [
        [
            *("name", job.name, "operation", operation),
            *("source_node", job.source_id, "target_node", job.target_id),
            *("state", job.state, "message", ""),
        ]
        for operation, jobs in (("EXPORT", server.jobs), ("IMPORT", server.incoming))
        for job in jobs
    ]


def _migrate_slots(server: Server, given: Sequence[str]) -> Reply:
    """Valkey 9's: all, or nothing."""
    slots, target_id = _slots(given[1:-2]), given[-1]
    _master_of(server, target_id)
    if slots & ~server.me.slots:
        raise Refused("Slots are not served by this node")
    busy = [job for job in server.jobs if job.state == "snapshotting" and job.slots & slots]
    if busy:
        raise Refused("I am already migrating slot")
    job = Job(f"job{len(server.jobs)}", server.id, target_id, slots)
    server.jobs.append(job)
    target = server.net.at.get(server.table[target_id].address)
    if target is not None and target.id == target_id:
        target.incoming.append(job)
    duration_s = server.net.rng.uniform(*JOB_S)
    server.net.loop.call_later(duration_s, lambda: _end(server, job))
    return "OK"


def _end(server: Server, job: Job) -> None:
    entry = server.table.get(job.target_id)
    target = server.net.at.get(entry.address) if entry else None
    job.state = "failed"
    if (
        not server.alive
        or server.frozen
        or job.slots & ~server.me.slots
        or target is None
        or target.id != job.target_id
        or target.frozen
        or not target.me.master
        or not server.net.reaches(server, target)
    ):
        return
    job.state = "success"
    moved = {key: v for key, v in server.keys.items() if job.slots >> KEY_SLOTS[key] & 1}
    target.keys |= moved
    target.offset += 10
    server.drop_keys(job.slots)
    server.offset += 10
    target.current_epoch = target.me.epoch = max(target.highest_epoch(), server.highest_epoch()) + 1
    target.assign(target.me, job.slots)
    server.net.broadcast(target)


_COMMANDS: dict[str, Callable[[Server, Sequence[str]], Reply]] = {
    "NODES": _nodes,
    "MYID": lambda server, given: server.id,
    "MEET": _meet,
    "FORGET": _forget,
    "REPLICATE": _replicate,
    "SET-CONFIG-EPOCH": _set_config_epoch,
    "ADDSLOTSRANGE": _add_slots,
    "DELSLOTSRANGE": _del_slots,
    "FAILOVER": _failover,
    "BUMPEPOCH": _bump_epoch,
    "SETSLOT": _set_slot,
    "GETKEYSINSLOT": _keys_in_slot,
    "COUNTKEYSINSLOT": _count_keys_in_slot,
    "CONFIG": _config,
    "INFO": _info,
    "PING": _ping,
    "RESET": _reset,
    "MEMORY": _memory,
    "UNLINK": _unlink,
    "FLUSHALL": _flush,
    "FUNCTION": _function,
    "MIGRATE": _migrate,
    "GETSLOTMIGRATIONS": _migrations,
    "MIGRATESLOTS": _migrate_slots,
    "MIGRATION": _migration,
}
READING = frozenset({
    "NODES", "MYID", "INFO", "PING", "GETKEYSINSLOT", "COUNTKEYSINSLOT", "GETSLOTMIGRATIONS",
})  # fmt: skip
_READING_WORDS = (("CONFIG", "GET"), ("MEMORY", "USAGE"), ("FUNCTION", "DUMP"))


def writes(command: Command) -> bool:
    """Whether a command may change something."""
    name = command[1] if command[0] == "CLUSTER" else command[0]
    return name not in READING and command[:2] not in _READING_WORDS
