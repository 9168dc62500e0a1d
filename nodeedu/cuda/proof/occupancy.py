"""How many warps of a kernel an SM of a GPU can hold, from registers, shared memory and the size of a block.

The limits are those of the CUDA C++ Programming Guide, "Compute Capabilities"; registers are given out in units of 256
per warp, shared memory with 1 KiB for the system per block.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LIMITS", "Multiprocessor", "occupancy"]

WARP, REGISTER_UNIT, SYSTEM_SHARED, PARTITIONS = 32, 256, 1024, 4


@dataclass(frozen=True)
class Multiprocessor:
    """What one SM has: 32-bit registers, bytes of shared memory, warps and blocks at once."""

    registers: int
    shared: int
    warps: int
    blocks: int


LIMITS = {
    "sm_80": Multiprocessor(65536, 164 * 1024, 64, 32),
    "sm_90": Multiprocessor(65536, 228 * 1024, 64, 32),
    "sm_100": Multiprocessor(65536, 228 * 1024, 64, 32),
}


def occupancy(arch: str, registers: int, shared: int, threads: int) -> float:
    """Return the share of an SM's warps that a kernel can keep resident.

    Parameters
    ----------
    arch : str
        One of `LIMITS`.
    registers : int
        Of a thread.
    shared : int
        Bytes of a block.
    threads : int
        Of a block.

    Raises
    ------
    ValueError
        If the architecture's limits are not known.
    """
    if arch not in LIMITS:
        raise ValueError(f"arch: got {arch!r}, expected one of {', '.join(LIMITS)}")
    sm, warps = LIMITS[arch], -(-threads // WARP)
    of_warp = -(-registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
    by_registers = PARTITIONS * (sm.registers // PARTITIONS // of_warp) // warps  # a warp stays in its partition
    blocks = min(sm.blocks, sm.warps // warps, by_registers, sm.shared // (shared + SYSTEM_SHARED))
    return blocks * warps / sm.warps
