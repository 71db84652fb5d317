"""A gateway whose ECS only says what it was asked; it ends when its input does."""

import asyncio
import json
import sys
from pathlib import Path

from redis_fargate.local.gateway import Gateway


async def handle(operation: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    asked = json.loads(body)
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    if operation == "DescribeClusters":
        refusal = {"__type": "ClusterNotFoundException", "message": "Cluster not found."}
        return 400, headers, json.dumps(refusal).encode()
    answer = {"clusterArns": [operation, str(len(asked.get("nextToken", "")))]}
    return 200, headers, json.dumps(answer).encode()


async def main() -> None:
    async with Gateway(int(sys.argv[2]), Path(sys.argv[1]), handle) as gateway:
        print(gateway.url, flush=True)  # noqa: T201 - to the test that started it
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
