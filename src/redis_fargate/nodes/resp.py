"""Commands and answers on the wire, many at a time: RESP2, as redis-py speaks it, but faster.

Moving millions of keys leaves 5 µs for each. redis-py's parser for asyncio awaits every line, which
takes 10 µs for each element of an answer, and packing takes it 2 µs a command; this takes a fourth.
(hiredis is as fast; but it would tie the Lambda package to one processor.)

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from collections.abc import Iterable, MutableSequence, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import BaseParser  # type: ignore[attr-defined] # redis-py exports little
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from asyncio import StreamReader

_CHUNK_BYTES = 1 << 18
_ERROR, _STATUS, _NUMBER, _TEXT, _LIST = b"-+:$*"


def packed(commands: Iterable[Sequence[str | int | bytes]]) -> bytes:
    """Put commands into the form in which they are sent."""
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        parts += [
            b"$%d\r\n%b\r\n" % (len(word), word) if isinstance(word, bytes) else _packed(word)
            for word in command
        ]
    return b"".join(parts)


@lru_cache(maxsize=1 << 15)  # the same names, and the numbers of slots
def _packed(word: str | int) -> bytes:
    data = str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


class _Incomplete(Exception):
    """There is more to come of an answer."""


class ReplyParser(BaseParser):
    """Reads what has come, and takes apart all that is whole of it; plugged into redis-py.

    Texts are ``str`` if ``decoded``, and ``bytes`` else. Errors are values: redis-py's exceptions.
    """

    def __init__(self, *, decoded: bool) -> None:
        self._decoded = decoded
        self._stream: StreamReader | None = None
        self._buffer = b""
        self._at = 0

    def on_connect(self, connection: Any) -> None:  # noqa: ANN401 - of any kind that redis-py has
        """Begin with a connection that stands."""
        self._stream = connection._reader  # noqa: SLF001 - as redis-py's parsers do
        self._buffer, self._at = b"", 0

    def on_disconnect(self) -> None:
        """End with it."""
        self._stream = None

    async def can_read(self) -> bool:
        """Whether anything has come that was not asked for."""
        return self._at < len(self._buffer)

    async def read_response(self, disable_decoding: bool = False) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002
        """Read one answer, as redis-py asks for it while it connects."""
        answers: list[Any] = []
        await self.read(answers, 1)
        return answers[0]

    async def read(self, answers: MutableSequence[Any], number: int) -> None:
        """Put so many answers behind those that are there.

        Raises:
            redis.exceptions.ConnectionError: the connection ended, or an answer ends it, such as
                "LOADING" and "NOAUTH"; in this case that is what ``answers`` ends with.

        """
        while number:
            try:
                answer, self._at = self._parsed(self._at)
            except _Incomplete:
                await self._fill()
                continue
            number -= 1
            answers.append(answer)
            if isinstance(answer, NoConnection):
                raise answer

    async def _fill(self) -> None:
        data = await self._stream.read(_CHUNK_BYTES) if self._stream else b""
        if not data:
            raise NoConnection("Connection closed by server.")
        self._buffer = self._buffer[self._at :] + data
        self._at = 0

    def _parsed(self, at: int) -> tuple[Any, int]:
        """The answer that begins there, and where the next one does."""
        buffer = self._buffer
        end = buffer.find(b"\r\n", at)
        if end < 0:
            raise _Incomplete
        kind, head, at = buffer[at], buffer[at + 1 : end], end + 2
        if kind == _TEXT:
            length = int(head)
            if length < 0:
                return None, at
            if len(buffer) < at + length + 2:
                raise _Incomplete
            return self._text(buffer[at : at + length]), at + length + 2
        if kind == _NUMBER:
            return int(head), at
        if kind == _STATUS:
            return self._text(head), at
        if kind == _LIST:
            elements = []
            for _ in range(int(head)):
                element, at = self._parsed(at)
                elements.append(element)
            return elements if head != b"-1" else None, at
        if kind == _ERROR:
            return self._error(head), at
        raise NoConnection(f"What came is no answer: {buffer[at : at + 20]!r}")

    def _text(self, data: bytes) -> str | bytes:
        return data.decode(errors="replace") if self._decoded else data

    def _error(self, head: bytes) -> RedisError:
        error: RedisError = self.parse_error(head.decode(errors="replace"))  # type: ignore[no-untyped-call]
        return error
