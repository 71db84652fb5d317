"""The local cloud's process with IAM enforced, which notes each call in the file ``$CALLS_FILE``.

With its ``AUTH``, ministack checks the signature and the policies of whoever calls, and gives a
function credentials of its role's. Our ECS is behind the same port, but checks nothing.
"""

import json
import os
import re
from pathlib import Path

from redis_fargate.local import cloud, gateway

CALLER = re.compile(r"Credential=(\w+)/\d+/[^/]+/([^/]+)/")

set_environment, together = gateway._set_environment, gateway._together


def guarded_environment(*arguments):
    set_environment(*arguments)
    os.environ["AUTH"] = "true"


def noting(*arguments):
    app = together(*arguments)
    calls = Path(os.environ["CALLS_FILE"]).open("a")  # noqa: SIM115 - as long as the process

    async def noted(scope, receive, send):
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body", False):
            messages.append(await receive())
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        if caller := CALLER.search(headers.get("authorization", "")):
            target = headers.get("x-amz-target")
            body = b"".join(message.get("body", b"") for message in messages)
            call = {
                "key": caller[1],
                "service": caller[2],
                "operation": target.rpartition(".")[2] if target else scope["path"],
                "body": json.loads(body) if target else {},
            }
            print(json.dumps(call), file=calls, flush=True)

        async def replayed():
            return messages.pop(0) if messages else await receive()

        await app(scope, replayed, send)

    return noted


if __name__ == "__main__":
    gateway._set_environment, gateway._together = guarded_environment, noting
    cloud.main()
