"""Matrices on disk that numpy reads like arrays: pages come when read, and can be released."""

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.usecase.serving import FloatMatrix

Ints = npt.NDArray[np.int64]
ROWS_PER_PASS = 100_000


def map_matrix(path: Path, width: int) -> FloatMatrix:
    """The float32 rows of a file without a header, read-only. The file may be deleted meanwhile."""
    size = path.stat().st_size
    if size == 0:
        return np.zeros((0, width), dtype=np.float32)
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
    return np.frombuffer(pages, dtype=np.float32).reshape(-1, width)


def release_pages(matrix: npt.NDArray[np.generic]) -> None:
    """Give back the memory of pages that were read; nothing where the matrix is not a mapped file.

    The kernel would do so under pressure. Until then they count as memory of this process, which
    has a limit.
    """
    base: object = matrix
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def passes(matrix: FloatMatrix) -> Iterator[FloatMatrix]:
    """The rows in parts, in order; a mapped part is released behind the reader."""
    for at in range(0, len(matrix), ROWS_PER_PASS):
        yield matrix[at : at + ROWS_PER_PASS]
        release_pages(matrix)


def take_rows(matrix: FloatMatrix, rows: Ints) -> FloatMatrix:
    """A copy of some rows: `matrix[rows]`, in parts."""
    taken = np.empty((len(rows), matrix.shape[1]), dtype=matrix.dtype)
    for at in range(0, len(rows), ROWS_PER_PASS):
        taken[at : at + ROWS_PER_PASS] = matrix[rows[at : at + ROWS_PER_PASS]]
        release_pages(matrix)
    return taken


def write_columns(
    path: Path, matrix: FloatMatrix, rows: Ints, columns: Sequence[int]
) -> FloatMatrix:
    """Some columns of some rows as a file of their own, mapped."""
    chosen = np.asarray(columns, dtype=np.int64)
    with path.open("wb") as file:
        for at in range(0, len(rows), ROWS_PER_PASS):
            part = matrix[np.ix_(rows[at : at + ROWS_PER_PASS], chosen)]
            file.write(np.ascontiguousarray(part).data)
            release_pages(matrix)
    return map_matrix(path, len(chosen))
