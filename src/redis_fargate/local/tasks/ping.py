"""Stands in for redis-cli in the container health check on a machine that has no client program.

It understands what node/healthcheck.sh says (``-h HOST -p PORT PING`` and ``REDISCLI_AUTH``) and
prints the server's answer. Servers with TLS come with a client, so it speaks none.
"""

import argparse
import os
import socket
import sys

_TIMEOUT_S = 4


def main() -> int:
    """Send PING; the exit code is 0 if the server answered anything at all."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-h", dest="host", default="127.0.0.1")
    parser.add_argument("-p", dest="port", type=int, default=6379)
    parser.add_argument("command")
    given = parser.parse_args()
    password = os.environ.get("REDISCLI_AUTH", "")
    commands = ([["AUTH", password]] if password else []) + [[given.command]]
    try:
        with socket.create_connection((given.host, given.port), timeout=_TIMEOUT_S) as connection:
            answers = connection.makefile("rb")
            for words in commands:
                connection.sendall(_encoded(words))
                answer = answers.readline().decode(errors="replace").strip()
                sys.stdout.write(answer[1:] + "\n")
            return 0 if answer else 1
    except OSError as error:
        sys.stdout.write(f"Could not connect to {given.host}:{given.port}: {error}\n")
        return 1


def _encoded(words: list[str]) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


if __name__ == "__main__":
    sys.exit(main())
