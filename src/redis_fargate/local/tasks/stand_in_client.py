"""Stands in for redis-cli in the tasks of a machine that has no client program.

It understands what the scripts in node/ say (``-h HOST -p PORT COMMAND…`` and ``REDISCLI_AUTH``)
and prints the server's answer. Servers with TLS come with a client, so it speaks none.
"""

import argparse
import os
import socket
import sys
from typing import BinaryIO

_TIMEOUT_S = 4


def main() -> int:
    """Send the command; the exit code is 0 if the server answered anything at all."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-h", dest="host", default="127.0.0.1")
    parser.add_argument("-p", dest="port", type=int, default=6379)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    password = os.environ.get("REDISCLI_AUTH", "")
    try:
        with socket.create_connection((given.host, given.port), timeout=_TIMEOUT_S) as connection:
            answers = connection.makefile("rb")
            if password:
                connection.sendall(_encoded(["AUTH", password]))
                if (refusal := _answer(answers)) != "OK":
                    sys.stdout.write(refusal + "\n")
            connection.sendall(_encoded(given.command))
            answer = _answer(answers)
            sys.stdout.write(answer + "\n")
            return 0 if answer else 1
    except OSError as error:
        sys.stdout.write(f"Could not connect to {given.host}:{given.port}: {error}\n")
        return 1


def _encoded(words: list[str]) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def _answer(answers: BinaryIO) -> str:
    """Read one answer: an array's items in a line each."""
    line = answers.readline().decode(errors="replace").strip()
    kind, rest = line[:1], line[1:]
    if kind == "$" and rest != "-1":
        return answers.read(int(rest) + 2).decode(errors="replace").removesuffix("\r\n")
    if kind == "*":
        return "\n".join(_answer(answers) for _ in range(int(rest)))
    return rest


if __name__ == "__main__":
    sys.exit(main())
