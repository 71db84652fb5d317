"""Replicas' links: the first synchronisation replaces all they have, then they follow."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .server import Link, Server

if TYPE_CHECKING:
    from .network import Network

SILENCE_S = 60.0
"""repl-timeout"""
SYNC_S = 0.3
PING_BYTES = 14
"""What a master sends to a replica even where nobody writes."""
NEVER = float("inf")


def replicate(net: "Network", servers: Iterable[Server]) -> float:
    """Let every replica follow; when the next synchronisation ends."""
    due_s = NEVER
    for server in servers:
        if server.link is not None:
            due_s = min(due_s, _follow(net, server, server.link))
    return due_s


def _follow(net: "Network", server: Server, link: Link) -> float:
    source = net.at.get(link.address)
    if source is None or source is server:
        link.ready_s = None
        _set_up(server, link, up=False)
        return NEVER
    if source.frozen or not net.reaches(server, source):
        return _silence(net, server, link)
    link.lost_s = None
    if link.up and link.source is source:
        if catch_up(server, source) and source.id != server.me.master_id:
            net.misled.append(server)
        return NEVER
    _set_up(server, link, up=False)  # another process may have the address
    if source.link is not None and not source.link.up:  # "-NOMASTERLINK"
        return NEVER if source.link.ready_s is None else source.link.ready_s
    source.introduced |= len(source.table) > 1
    if not source.introduced:  # "-WRONGPASS": its entry script lets nobody in before
        link.ready_s = None
    elif link.ready_s is None:
        link.ready_s = net.now_s + SYNC_S + int(source.settings["repl-diskless-sync-delay"])
    elif net.now_s >= link.ready_s:
        _synchronised(net, server, link, source)
        return NEVER
    return link.ready_s or NEVER


def _set_up(server: Server, link: Link, *, up: bool) -> None:
    if link.up != up:
        link.up = up
        server.touch()


def _silence(net: "Network", server: Server, link: Link) -> float:
    """Nothing comes, and the connection stands: it takes a while until that is a failure."""
    link.ready_s = None
    link.lost_s = link.lost_s or net.now_s
    if link.up and net.now_s - link.lost_s > SILENCE_S:
        _set_up(server, link, up=False)
    return link.lost_s + SILENCE_S if link.up else NEVER


def _synchronised(net: "Network", server: Server, link: Link, source: Server) -> None:
    """The source's data has replaced all that was there."""
    link.up, link.ready_s, link.source, link.followed = True, None, source, True
    server.other_data = source.id != server.me.master_id
    source.offset += PING_BYTES
    server.keys, server.offset = dict(source.keys), source.offset
    server.stream = source.stream
    if source.id != server.me.master_id:
        net.misled.append(server)
    server.touch()


def catch_up(server: Server, source: Server) -> bool:
    """Copy what is new; whether there was anything."""
    if server.offset == source.offset and server.keys == source.keys:
        return False
    server.keys, server.offset = dict(source.keys), source.offset
    return True


def source_of(net: "Network", server: Server) -> Server | None:
    """Whom a replica's link leads to, if anything comes over it now."""
    return leader_of(net, server) if server.link and server.link.up else None


def leader_of(net: "Network", server: Server) -> Server | None:
    """Whom a replica follows or is about to, when its synchronisation has ended."""
    if server.link is None or server.frozen:
        return None
    source = net.at.get(server.link.address)
    if source is None or source.frozen or not net.reaches(server, source):
        return None
    return source
