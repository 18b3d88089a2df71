"""A kernel matrix whose products run on several devices, of one process or of many, by JAX's own runtime."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from ntklab.errors import InputError
from ntklab.solve._operator import checked_vectors
from ntklab.solve._operator_blocks import Block, BlockOperator

_AXIS = "shards"
_CALL_ENTRIES = 2**25
"""Entries that a device computes between two looks at Ctrl-C: about a second of a cheap kernel on a core."""
_SHARDED, _REPLICATED = PartitionSpec(_AXIS), PartitionSpec()

Kernel = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class ShardedOperator:
    """K whose upper triangle is dealt out to devices block by block; made by :meth:`of_kernel` or :meth:`stored`.

    Every device sums K_IJ V_J and K_IJ^T V_I over its own blocks, and one all-reduce adds the devices up, so each
    pair of points is computed or kept once, and what travels is N C numbers. With ``jax.distributed`` every
    process makes the same operator and calls the same solver; all get the same answer, and process 0 writes files.

    Examples
    --------
    >>> import numpy as np
    >>> from ntklab.solve import ShardedOperator
    >>> K = ShardedOperator.of_kernel(lambda a, b: a @ b.T, np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    >>> K.matmat(np.ones((3, 1))).ravel()
    array([2., 5., 6.])
    """

    _host: BlockOperator = field(repr=False)
    _mesh: Mesh
    _tile: int
    _steps: int
    _pairs: Array = field(repr=False)
    _source: Array = field(repr=False)
    _kernel: Kernel | None = field(repr=False)

    @classmethod
    def of_kernel(
        cls, kernel: Kernel, inputs: ArrayLike, *, tile: int = 1024, devices: Sequence[Any] | None = None
    ) -> "ShardedOperator":
        """Return the operator that computes K_ij = kernel(x_i, x_j) anew for every product.

        Parameters
        ----------
        kernel
            ``kernel(x1, x2)`` returns the (n1, n2) matrix of two sets of inputs; a function that JAX can trace, such
            as ``lambda a, b: kfn(a, b).ntk``.
        inputs
            Training inputs, an array with N rows, the same in every process; every device holds all of them.
        tile
            Side of a block; a device holds one at a time, besides what the kernel needs.
        devices
            Default: all devices of all processes.
        """
        x = np.asarray(jnp.asarray(inputs))  # outside of 64-bit mode float32, on devices as on the host
        if x.ndim == 0 or len(x) == 0:
            raise InputError(f"Inputs must be an array with a row for each training point, got shape {x.shape}.")
        tile = _checked_tile(tile, len(x))
        jitted = jax.jit(kernel)
        host = BlockOperator.of_kernel(lambda a, b: jitted(a, b), x, tile=tile)
        blocks = -(-len(x) // tile)
        # Rows beyond the last repeat it: they meet zeros in V, and what they give is cut off.
        padded = x[np.minimum(np.arange(blocks * tile), len(x) - 1)]
        mesh = _mesh(devices)
        pairs, steps = _deal(blocks, mesh.size, max(1, _CALL_ENTRIES // tile**2))
        return cls(host, mesh, tile, steps, _place(pairs, mesh, _SHARDED), _place(padded, mesh, _REPLICATED), kernel)

    @classmethod
    def stored(
        cls, block: Block, size: int, *, tile: int = 1024, devices: Sequence[Any] | None = None
    ) -> "ShardedOperator":
        """Return the operator that keeps its share of the upper triangle in the memory of each device.

        N^2 / 2 numbers in all, which each process reads for its own devices when the operator is made.

        Parameters
        ----------
        block, size
            As for :class:`BlockOperator`: ``block(rows, columns)`` returns K[rows, columns] for two slices.
        tile
            Side of a block.
        devices
            Default: all devices of all processes.
        """
        tile = _checked_tile(tile, size)
        host = BlockOperator(block, size, tile)
        mesh = _mesh(devices)
        pairs, steps = _deal(-(-size // tile), mesh.size, 2**31)

        def read(index: Any) -> np.ndarray:
            tiles = np.zeros((len(pairs[index[0]]), tile, tile), host.dtype)
            for into, (i, j, real) in zip(tiles, pairs[index[0]], strict=True):
                if real:
                    rows, columns = (slice(int(k) * tile, min(size, (int(k) + 1) * tile)) for k in (i, j))
                    values = np.asarray(block(rows, columns))
                    into[: values.shape[0], : values.shape[1]] = values
            return tiles

        shape = (len(pairs), tile, tile)
        with jax.enable_x64(True):
            source = jax.make_array_from_callback(shape, NamedSharding(mesh, _SHARDED), read)
        return cls(host, mesh, tile, steps, _place(pairs, mesh, _SHARDED), source, None)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, N)."""
        return self._host.shape

    @property
    def dtype(self) -> np.dtype:
        """Precision of the entries."""
        return self._host.dtype

    @property
    def leader(self) -> bool:
        """Whether this is process 0."""
        return jax.process_index() == 0

    def diagonal(self) -> Float[np.ndarray, " n"]:
        """Diagonal of K in float64; every process computes it for itself."""
        return self._host.diagonal()

    def rows(self, indices: ArrayLike) -> Float[np.ndarray, "k n"]:
        """Rows K[indices], shape (k, N); every process computes or reads them for itself."""
        return self._host.rows(indices)

    def matmat(self, vectors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
        """K V in float64, the same in every process; blocks and V are multiplied in the dtype of V."""
        v = checked_vectors(vectors, self.shape[0])
        blocks = -(-len(v) // self._tile)
        # Columns that stop change the shape; powers of two keep the number of compilations small.
        width = 1 << max(0, v.shape[1] - 1).bit_length()
        padded = np.zeros((blocks * self._tile, width), v.dtype)
        padded[: v.shape[0], : v.shape[1]] = v
        with jax.enable_x64(True):
            mine = _place(padded, self._mesh, _REPLICATED)
            zeros = np.zeros((1, *padded.shape))
            sums = jax.make_array_from_callback(
                (self._mesh.size, *padded.shape), NamedSharding(self._mesh, _SHARDED), lambda _: zeros
            )
            shape = {"kernel": self._kernel, "mesh": self._mesh, "tile": self._tile, "steps": self._steps}
            for start in range(0, self._pairs.shape[0] // self._mesh.size, self._steps):
                at = _place(np.array(start, np.int32), self._mesh, _REPLICATED)
                sums = _add_blocks(sums, at, self._pairs, self._source, mine, **shape)
                sums.block_until_ready()  # Ctrl-C is seen here, and no device runs far ahead of another
            total = np.asarray(_add_devices(sums, mesh=self._mesh))
        return total[: v.shape[0], : v.shape[1]]

    def agree(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return process 0's arrays, of the same shapes and dtypes, in every process."""
        if jax.process_count() == 1:
            return list(values)
        arrays = [np.ascontiguousarray(value) for value in values]
        # Bytes, because outside of 64-bit mode JAX would round float64 to float32.
        sent = b"".join(a.tobytes() for a in arrays)
        # A power of two, because JAX compiles a broadcast for every length.
        length = 1 << max(0, len(sent) - 1).bit_length()
        padded = np.frombuffer(sent.ljust(length, b"\0"), np.uint8)
        got = np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes()
        ends = np.cumsum([a.nbytes for a in arrays])
        pieces = [got[end - a.nbytes : end] for a, end in zip(arrays, ends, strict=True)]
        return [
            np.frombuffer(piece, a.dtype).reshape(np.shape(value)).copy()
            for piece, a, value in zip(pieces, arrays, values, strict=True)
        ]


def _mesh(devices: Sequence[Any] | None) -> Mesh:
    return Mesh(np.array(jax.devices() if devices is None else list(devices)), (_AXIS,))


def _checked_tile(tile: int, n: int) -> int:
    if not isinstance(tile, int | np.integer) or isinstance(tile, bool) or tile < 1:
        raise InputError(f"tile must be an integer of at least 1, got {tile!r}.")
    return min(int(tile), n)


def _deal(blocks: int, devices: int, most: int) -> tuple[np.ndarray, int]:
    """Pairs (I, J, 1) of blocks with I <= J by device, filled up with (0, 0, 0), and how many a call takes."""
    upper = np.stack([*np.triu_indices(blocks), np.ones(blocks * (blocks + 1) // 2, int)], axis=1)
    share = -(-len(upper) // devices)
    calls = -(-share // most)
    steps = -(-share // calls)
    pairs = np.zeros((devices, calls * steps, 3), np.int32)
    for device in range(devices):
        mine = upper[device::devices]
        pairs[device, : len(mine)] = mine
    return pairs.reshape(-1, 3), steps


def _place(values: np.ndarray, mesh: Mesh, spec: PartitionSpec) -> Array:
    with jax.enable_x64(True):
        return jax.make_array_from_callback(values.shape, NamedSharding(mesh, spec), lambda index: values[index])


@partial(jax.jit, static_argnames=("kernel", "mesh", "tile", "steps"), donate_argnames="sums")
def _add_blocks(
    sums: Array,
    start: Array,
    pairs: Array,
    source: Array,
    v: Array,
    *,
    kernel: Kernel | None,
    mesh: Mesh,
    tile: int,
    steps: int,
) -> Array:
    """Add the products of `steps` blocks of each device, from number `start` on, to its sums."""

    def local(sums: Array, start: Array, pairs: Array, source: Array, v: Array) -> Array:
        def cut(array: Array, block: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(array, block * tile, tile)

        def add(total: Array, values: Array, block: Array) -> Array:
            return jax.lax.dynamic_update_slice_in_dim(
                total, cut(total, block) + values.astype(total.dtype), block * tile, axis=0
            )

        def step(total: Array, at: Array) -> tuple[Array, None]:
            i, j, real = pairs[at]
            entries = source[at] if kernel is None else kernel(cut(source, i), cut(source, j))
            entries = entries.astype(v.dtype)
            # Half of each for a block on the diagonal, as on the host; nothing for one that only fills up.
            weight = jnp.where(i == j, 0.5, 1.0).astype(v.dtype) * real.astype(v.dtype)
            multiply = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
            total = add(total, weight * multiply(entries, cut(v, j)), i)
            return add(total, weight * multiply(entries.T, cut(v, i)), j), None

        total, _ = jax.lax.scan(step, sums[0], start + jnp.arange(steps, dtype=start.dtype))
        return total[None]

    specs = (_SHARDED, _REPLICATED, _SHARDED, _SHARDED if kernel is None else _REPLICATED, _REPLICATED)
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=_SHARDED, check_vma=False)(
        sums, start, pairs, source, v
    )


@partial(jax.jit, static_argnames="mesh")
def _add_devices(sums: Array, *, mesh: Mesh) -> Array:
    """Sum over devices, on every device."""
    return jax.shard_map(
        lambda own: jax.lax.psum(own[0], _AXIS), mesh=mesh, in_specs=_SHARDED, out_specs=_REPLICATED, check_vma=False
    )(sums)
