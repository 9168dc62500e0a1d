"""PTX is read as it is written; what is not understood is named."""

import pytest

from nodeedu.cuda.proof.ptx import Instruction, PtxError, parse, split
from nodeedu.cuda.proof.translate import translate

TEXT = """
.version 9.5
.target sm_90
.address_size 64
.visible .shared .align 8 .b8 parts[512];  // a comment; with a semicolon
.global .align 4 .b8 table[4] = {1, 2, 3, 4};
.func (.param .b64 result) half
(
	.param .b64 x
)
;
.visible .entry first(
	.param .u64 first_param_0,
	.param .f64 first_param_1
)
.maxntid 128, 1, 1
{
	.reg .pred 	%p<3>;
	.reg .b64 	%rd<5>;
	.loc	1 12 3
	ld.param.u64 	%rd1, [first_param_0];
	@!%p1 bra 	$L__BB0_2;
	.loc	1 0 3
	{
	.reg .b32 %temp;
	mov.b64 	{%temp, _}, %rd1;
	}
$L__BB0_2:
	shfl.sync.bfly.b32 	%r5|%p2, %r1, 16, 31, -1;
	call.uni (retval0), half, (param0);
	ret;
}
.file	1 "kernel.py"
"""


@pytest.fixture(scope="module")
def module():
    return parse(TEXT)


def instruction(module, opcode):
    return next(item for item in module.entry.body if isinstance(item, Instruction) and item.opcode == opcode)


def test_target_and_kernel_are_found(module):
    assert (module.target, module.entry.name) == ("sm_90", "first")
    assert [function.name for function in module.functions] == ["half", "first"]


def test_variables_have_their_sizes_and_values(module):
    parts, table = module.variables
    assert (parts.space, parts.count, parts.align, parts.initial) == ("shared", 512, 8, "")
    assert (table.space, table.count, table.initial) == ("global", 4, "{1, 2, 3, 4}")


def test_parameters_have_their_types(module):
    found = [(one.name, one.type) for one in module.entry.parameters]
    assert found == [("first_param_0", "u64"), ("first_param_1", "f64")]


def test_an_instruction_knows_its_line_of_python_and_of_the_ptx(module):
    load = instruction(module, "ld.param.u64")
    assert load.source == ("kernel.py", 12)
    assert TEXT.splitlines()[load.line - 1].split()[0] == "ld.param.u64"


def test_what_the_compiler_made_up_belongs_to_the_line_before(module):
    assert instruction(module, "mov.b64").source == ("kernel.py", 12)


def test_guards_and_operands_are_taken_apart(module):
    branch, shuffle = instruction(module, "bra"), instruction(module, "shfl.sync.bfly.b32")
    assert (branch.guard, branch.operands) == ("!%p1", ("$L__BB0_2",))
    assert shuffle.operands == ("%r5|%p2", "%r1", "16", "31", "-1")


def test_commas_in_brackets_do_not_split():
    assert split("(a, b), f, {x, y}, [p+8]") == ["(a, b)", "f", "{x, y}", "[p+8]"]


def test_a_range_of_registers_is_named_one_by_one(module):
    declared = next(item for item in module.entry.body if getattr(item, "name", "") == "%p")
    assert declared.registers() == ["%p0", "%p1", "%p2"]


def test_what_is_not_understood_is_named_with_its_line():
    with pytest.raises(PtxError, match=r"line 2.*\.gobbledygook"):
        parse(".version 9.5\n.gobbledygook x;\n")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("wgmma.mma_async %rd1, %rd2;", "unknown instruction 'wgmma.mma_async' in line 4"),
        ("add.rn.relu.f64 %rd1, %rd2, %rd3;", "unknown qualifier .relu"),
        ("bar.sync 0, 64;", "barriers of a part of a block"),
        ("ld.global.u64 %rd1, [nowhere];", "address '[nowhere]' is not known"),
        ("add.s64 %rd1, %rd2, %missing;", "address '%missing' is not known"),
    ],
)
def test_an_instruction_that_is_not_known_is_refused_by_name(line, named):
    text = f".target sm_90\n.visible .entry k() {{\n.reg .b64 %rd<4>;\n{line}\nret;\n}}"
    with pytest.raises(PtxError) as caught:
        translate(parse(text))
    assert named in str(caught.value)


def test_a_function_without_a_body_is_refused():
    with pytest.raises(PtxError, match="vprintf is called, but has no body"):
        translate(parse(".target sm_90\n.extern .func (.param .b32 r) vprintf (.param .b64 a);\n.entry k() { ret; }"))
