"""Where each block of a long log begins: heights with prefix sums, in a Fenwick tree."""

from __future__ import annotations


class Heights:
    """A growing list of non-negative heights. Every operation is O(log n), `total` O(1)."""

    def __init__(self) -> None:
        self._heights: list[int] = []
        self._tree: list[int] = [0]
        self.total = 0

    def __len__(self) -> int:
        return len(self._heights)

    def __getitem__(self, index: int) -> int:
        return self._heights[index]

    def append(self, height: int) -> None:
        self._heights.append(height)
        position = len(self._heights)
        node, child = height, position - 1
        lowest = position - (position & -position)
        while child > lowest:
            node += self._tree[child]
            child -= child & -child
        self._tree.append(node)
        self.total += height

    def pop(self) -> int:
        height = self._heights.pop()
        self._tree.pop()
        self.total -= height
        return height

    def set(self, index: int, height: int) -> int:
        """Change one height; the difference is returned."""
        change = height - self._heights[index]
        if change:
            self._heights[index] = height
            self.total += change
            position = index + 1
            while position < len(self._tree):
                self._tree[position] += change
                position += position & -position
        return change

    def before(self, index: int) -> int:
        """The sum of the heights of all blocks before `index`."""
        total = 0
        while index > 0:
            total += self._tree[index]
            index -= index & -index
        return total

    def find(self, line: int) -> tuple[int, int]:
        """(block, line within it) at that line of the whole; (number of blocks, 0) beyond the end. Empty blocks are never
        found."""
        if line < 0 or line >= self.total:
            return len(self._heights), 0
        position, rest = 0, line
        step = 1 << (len(self._heights).bit_length() - 1)
        while step:
            after = position + step
            if after < len(self._tree) and self._tree[after] <= rest:
                position = after
                rest -= self._tree[after]
            step >>= 1
        return position, rest
