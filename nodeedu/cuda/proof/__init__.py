"""Proofs of kernels without a GPU: their resources, read from NVIDIA's assembler, and their PTX, run on the CPU.

    ptx                  reads PTX
    registers, arithmetic, bits, memory, control      instructions as C statements
    translate            PTX as a C program, with machine.h, schedule.h and arithmetic.h
    machine, arguments   compile it with gcc and launch it on NumPy arrays
    faults               what went wrong, in words
    compile              from a Python function to PTX; the target PTX
    assemble, occupancy  from PTX to machine code with ptxas: registers, spills, shared memory
    budgets              what a kernel takes, and what it may take
    counts, roofline     executed instructions by kind, and what they let one expect at most
    mutants              a barrier less, half a mask: what the machine must catch
    prove, page          all of it for the kernels of the registry, and its tables
    tools                what must be installed for this
    examples             small kernels with known results

What a kernel is, and on what it runs, stands in `nodeedu.cuda.registry`.
"""

from nodeedu.cuda.proof.compile import ARCHITECTURES, PTX, PtxKernel, compile_ptx
from nodeedu.cuda.proof.machine import Execution, Fault, Program
from nodeedu.cuda.proof.ptx import PtxError, parse
from nodeedu.cuda.proof.tools import missing

__all__ = [
    "ARCHITECTURES", "PTX", "Execution", "Fault", "Program", "PtxError", "PtxKernel", "compile_ptx", "missing", "parse",
]  # fmt: skip
