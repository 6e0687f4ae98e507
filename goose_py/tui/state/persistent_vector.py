"""A persistent sequence: appending or replacing gives a new value that shares nearly everything with the old one.

A conversation grows to tens of thousands of items while every event makes a new state. Copying a tuple each time is quadratic;
this copies one chunk, and two versions are compared by identity of chunks, so that a view redraws only what differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

CHUNK = 64


class Vector(Generic[T]):
    """Immutable. `append` and `replace` cost O(chunk + length / chunk), indexing O(1)."""

    __slots__ = ("_chunks", "_length")

    def __init__(self, items: Iterable[T] = ()) -> None:
        everything = tuple(items)
        self._chunks: tuple[tuple[T, ...], ...] = tuple(
            everything[start : start + CHUNK] for start in range(0, len(everything), CHUNK)
        )
        self._length = len(everything)

    @classmethod
    def _of(cls, chunks: tuple[tuple[T, ...], ...], length: int) -> Vector[T]:
        vector = cls.__new__(cls)
        vector._chunks = chunks
        vector._length = length
        return vector

    def append(self, item: T) -> Vector[T]:
        if self._length % CHUNK == 0:
            return self._of((*self._chunks, (item,)), self._length + 1)
        return self._of((*self._chunks[:-1], (*self._chunks[-1], item)), self._length + 1)

    def replace(self, index: int, item: T) -> Vector[T]:
        """Raises IndexError where there is no such item."""
        chunk, offset = divmod(self._checked(index), CHUNK)
        old = self._chunks[chunk]
        new = (*old[:offset], item, *old[offset + 1 :])
        return self._of((*self._chunks[:chunk], new, *self._chunks[chunk + 1 :]), self._length)

    def differences(self, older: Vector[T]) -> Iterator[int]:
        """Indexes, ascending, at which this one holds another object than `older`, or where `older` had none."""
        for number, chunk in enumerate(self._chunks):
            before = older._chunks[number] if number < len(older._chunks) else ()
            if chunk is before:
                continue
            for offset, item in enumerate(chunk):
                if offset >= len(before) or before[offset] is not item:
                    yield number * CHUNK + offset

    def _checked(self, index: int) -> int:
        position = index + self._length if index < 0 else index
        if not 0 <= position < self._length:
            raise IndexError(f"no item {index} among {self._length}")
        return position

    def __getitem__(self, index: int) -> T:
        chunk, offset = divmod(self._checked(index), CHUNK)
        return self._chunks[chunk][offset]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        for chunk in self._chunks:
            yield from chunk

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vector) and self._length == other._length and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Vector({list(self)!r})"
