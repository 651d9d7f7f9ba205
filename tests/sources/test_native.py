"""C++ and CUDA: what is reported, what is kept, and how much of it."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from precision_fix.model.finding import Action
from precision_fix.model.target import FLOAT32
from precision_fix.sources import format_of, native
from tests.tools import analyse, check_kept, check_not_a_site, check_reported, findings


@pytest.mark.parametrize("suffix", ["cu", "cuh", "hip", "cpp", "cc", "cxx", "c", "h", "hpp"])
def test_the_names_that_are_read(suffix: str) -> None:
    found = format_of(f"csrc/kernel.{suffix}")
    assert found is not None and found.module == "native"


@pytest.mark.parametrize(
    "line",
    [
        "__nv_bfloat16 x = __float2bfloat16(1.0f);",
        "nv_bfloat162 packed;",
        "using T = cutlass::bfloat16_t;",
        "template void run<at::BFloat16>(Params& p);",
        "auto out = torch::empty({n}, torch::kBFloat16);",
        'asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0};");',
        "INSTANTIATE(__nv_bfloat16)",
    ],
)
def test_pf910_a_kernel(line: str) -> None:
    check_reported(f"{line}\n", code="PF910", path="kernel.cu")


@pytest.mark.parametrize(
    "line",
    [
        "if (x.scalar_type() == at::kBFloat16) {",
        "case at::ScalarType::BFloat16: {",
        "AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, t, name, [&] {",
        "TORCH_CHECK(q.dtype() == torch::kBFloat16, message);",
        "static_assert(std::is_same_v<T, __nv_bfloat16>);",
        "#define BF(x) static_cast<__nv_bfloat16>(x)",
        "INSTANTIATE(float)\nINSTANTIATE(__nv_bfloat16)",
        "template void run<float>(P&);\ntemplate void run<cutlass::bfloat16_t>(P&);",
    ],
)
def test_pf013_code_that_asks(line: str) -> None:
    check_kept(f"{line}\n", code="PF013", path="kernel.cu")


@pytest.mark.parametrize(
    "text",
    [
        "// __nv_bfloat16 x;\n",
        "/* __nv_bfloat16 x;\n __nv_bfloat16 y; */\n",
        'const char* name = "__nv_bfloat16";\n',
        'auto text = R"(__nv_bfloat16 x;)";\n',
        "#include <cuda_bf16.h>\n",
        "int is_bf16_variant = 1;\n",
    ],
)
def test_no_site(text: str) -> None:
    check_not_a_site(text, path="kernel.cu")


def test_the_cpu_has_its_own_bfloat16() -> None:
    check_not_a_site("at::BFloat16 x = 1;\n", path="cpu/vec.cpp")
    check_reported("#include <cuda_runtime.h>\nat::BFloat16 x = 1;\n", code="PF910", path="bindings.cpp")


def test_where_it_is() -> None:
    found = findings("int a;\r\n  __nv_bfloat16 x;\r\n", path="kernel.cu")
    assert [(each.line, each.column, each.token) for each in found] == [(2, 3, "__nv_bfloat16")]


def test_a_file_that_is_one_kernel_is_said_in_a_few_lines() -> None:
    found = findings("__nv_bfloat16 x;\n" * 300, path="kernel.cu")
    assert [each.line for each in found] == list(range(1, 9))
    assert all("300 lines of the file" in each.reason for each in found)


def test_a_comment_keeps_a_line() -> None:
    check_kept("__nv_bfloat16 x;  // precision-fix: keep\n", code="PF910", path="kernel.cu")
    assert analyse("kernel.cu", "int x;  // precision-fix: keep\n__nv_bfloat16 y;\n").unused_keeps == [1]


_PIECES = st.sampled_from(
    [*"\n\r\t (){}\"'\\/*R#<>;", "__nv_bfloat16", "//", "/*", "*/", 'R"(', ')"', "at::BFloat16", "<<<"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_PIECES, max_size=25).map("".join))
@example("/*")
def test_any_text_is_read_and_never_edited(text: str) -> None:
    analysis = native.analyse("kernel.cu", text, FLOAT32)
    assert analysis.edits == []
    assert all(
        each.action is not Action.REWRITE and each.line <= text.count("\n") + text.count("\r") + 1
        for each in analysis.findings
    )
