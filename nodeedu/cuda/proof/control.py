"""Branches, calls, barriers, shuffles and votes: PTX instructions as C statements."""

from __future__ import annotations

from nodeedu.cuda.proof.arithmetic import Emitter, require
from nodeedu.cuda.proof.ptx import Instruction, PtxError, split
from nodeedu.cuda.proof.registers import Scope, c_name

__all__ = ["CONTROL"]

_VOTES = {"all": "ALL", "any": "SOME", "ballot": "BALLOT", "and": "ALL", "or": "SOME", "popc": "COUNT"}
_SHUFFLES = {"bfly": "BUTTERFLY", "up": "UP", "down": "DOWN", "idx": "INDEX"}


def _branch(scope: Scope, instruction: Instruction) -> str:
    burn = f"burn({scope.site}); " if scope.backward else ""
    return f"{{ {burn}goto {c_name(instruction.operands[0])}; }}"


def _branch_table(scope: Scope, instruction: Instruction) -> str:
    """brx.idx: branch to one of the labels of a table."""
    index, table = scope.read(instruction.operands[0], "u32"), scope.tables[instruction.operands[1]]
    cases = " ".join(f"case {k}: goto {c_name(label)};" for k, label in enumerate(table))
    return f"burn({scope.site}); switch ({index}) {{ {cases} default: fail(TRAP, {scope.site}, 0, 0, 0); }}"


def _call(scope: Scope, instruction: Instruction) -> str:
    """Call (results), function, (parameters): all are variables of the caller, passed by their addresses."""
    operands = list(instruction.operands)
    results = split(operands.pop(0)[1:-1]) if operands[0].startswith("(") else []
    name = operands.pop(0)
    parameters = split(operands.pop(0)[1:-1]) if operands else []
    if operands or name.startswith("%"):
        raise PtxError("calls by address are not known")
    lists = [", ".join(scope.parameters[one] for one in group) or "NULL" for group in (results, parameters)]
    return f"{{ uint8_t *r_[] = {{{lists[0]}}}, *p_[] = {{{lists[1]}}}; {c_name(name)}(r_, p_); }}"


def _return(scope: Scope, instruction: Instruction) -> str:
    return ("{ ME->depth--; return; }" if scope.frame else "return;")


def _exit(scope: Scope, instruction: Instruction) -> str:
    return "{ ME->state = DONE; _longjmp(scheduler, 1); }"


def _trap(scope: Scope, instruction: Instruction) -> str:
    return f"fail(TRAP, {scope.site}, 0, 0, 0);"


def _barrier(scope: Scope, instruction: Instruction) -> str:
    """bar.sync, bar.red of the whole block; bar.warp.sync."""
    require(instruction, {"cta", "sync", "warp", "red", "aligned", "and", "or", "popc", "pred"})
    parts, operands = instruction.parts, instruction.operands
    if "warp" in parts:
        return f"warp_barrier({scope.read(operands[0], 'u32')}, {scope.site});"
    if "red" not in parts:
        if len(operands) != 1:
            raise PtxError("barriers of a part of a block are not known")
        return f"barrier({scope.read(operands[0], 'u32')}, {scope.site});"
    if len(operands) != 3:
        raise PtxError("barriers of a part of a block are not known")
    mode = next(_VOTES[one] for one in parts if one in _VOTES)
    number, vote = scope.read(operands[1], "u32"), scope.read(operands[2], "pred")
    kind = "u32" if mode == "COUNT" else "pred"
    return scope.write(operands[0], kind, f"barrier_vote({number}, {mode}, {vote}, {scope.site})")


def _shuffle(scope: Scope, instruction: Instruction) -> str:
    """shfl.sync: what another lane of the mask gave; the predicate says whether there was one."""
    require(instruction, {"sync", *_SHUFFLES})
    target, _, known = instruction.operands[0].partition("|")
    value, by, clamp, mask = (scope.read(one, "u32") for one in instruction.operands[1:5])
    mode = next(_SHUFFLES[one] for one in instruction.parts if one in _SHUFFLES)
    text = scope.write(target.strip(), "b32", f"shuffle({mode}, {value}, {by}, {clamp}, {mask}, {scope.site})")
    return "{ " + text + (" " + scope.write(known.strip(), "pred", "ME->known") if known else "") + " }"


def _vote(scope: Scope, instruction: Instruction) -> str:
    require(instruction, {"sync", "all", "any", "ballot", "pred"})
    mode = next(_VOTES[one] for one in instruction.parts if one in _VOTES)
    vote, mask = scope.read(instruction.operands[1], "pred"), scope.read(instruction.operands[2], "u32")
    kind = "b32" if mode == "BALLOT" else "pred"
    return scope.write(instruction.operands[0], kind, f"warp_vote({mode}, {vote}, {mask}, {scope.site})")


def _pause(scope: Scope, instruction: Instruction) -> str:
    return ";"


CONTROL: dict[str, Emitter] = {
    "bra": _branch,
    "brx": _branch_table,
    "call": _call,
    "ret": _return,
    "exit": _exit,
    "trap": _trap,
    **dict.fromkeys(("bar", "barrier"), _barrier),
    "shfl": _shuffle,
    "vote": _vote,
    "nanosleep": _pause,
}
