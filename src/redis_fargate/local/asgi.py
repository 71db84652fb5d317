"""ASGI, as far as the endpoint's parts speak it with each other."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def header(scope: Message, name: str) -> str:
    """Give a header of a request; an empty one if it has none of that name."""
    wanted = name.encode()
    return next((text.decode("latin-1") for key, text in scope["headers"] if key == wanted), "")


async def read_body(receive: Receive) -> bytes | None:
    """Read a request's body to its end; None if the client leaves before."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
