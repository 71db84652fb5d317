"""Pages of long lists, with ``nextToken`` and ``maxResults`` as ECS has them."""

import base64
import binascii
from collections.abc import Sequence

from redis_fargate.local.ecs.errors import invalid_parameter
from redis_fargate.local.ecs.model import Json

_MOST = 100


def page(items: Sequence[str], request: Json, name: str, *, size: int = _MOST) -> Json:
    """Answer one page of ``items`` under ``name``, and the token of the next page.

    The token names the last item shown, so nothing is skipped when items appear or vanish
    between two pages; if that item is gone itself, the list goes on where it stood.

    Raises:
        EcsError: the token is none that was handed out, or ``maxResults`` is not 1 to 100.

    """
    limit = request.get("maxResults", size)
    if not 1 <= limit <= _MOST:
        raise invalid_parameter("Max results must be between 1 and 100.")
    start = _start(items, request["nextToken"]) if "nextToken" in request else 0
    shown = list(items[start : start + limit])
    answer: Json = {name: shown}
    if start + limit < len(items):
        answer["nextToken"] = base64.b64encode(f"{start + limit} {shown[-1]}".encode()).decode()
    return answer


def _start(items: Sequence[str], token: str) -> int:
    try:
        position, _, last = base64.b64decode(token, validate=True).decode().partition(" ")
        start = int(position)
    except (binascii.Error, ValueError):
        raise invalid_parameter("Invalid token.") from None
    return items.index(last) + 1 if last in items else start
