"""PF902: tensors whose memory a function of C is handed, through functions and attributes."""

from __future__ import annotations

import pytest

from tests.tools import check_reported, check_rewritten

LIBRARY = "import ctypes\nimport torch\nfrom torch import nn\nlib = ctypes.CDLL('libsmall.so')\n"
IN_BYTES = "def product(x, s):\n    b = (ctypes.c_uint8 * s.nbytes).from_address(s.data_ptr())\n"
HANDS_OVER = [
    "def product(x, s):\n    lib.run(ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(s.data_ptr()))\n",
    "def product(x, s):\n    lib.run(x.data_ptr(), s.data_ptr())\n",
    """\
def pointer(x):
    return ctypes.c_void_p(x.data.data_ptr())
def product(x, s):
    lib.run(pointer(x), pointer(s))
""",
    "from ctypes import c_void_p\ndef product(x, s):\n    lib.run(*[c_void_p(each.data_ptr()) for each in (x, s)])\n",
    "def product(x, s):\n    return list((ctypes.c_uint16 * 4).from_address(s.data_ptr()))\n",
    "def product(x, s):\n    cells = ctypes.c_short * len(s)\n    return cells.from_address(s.data_ptr())[0]\n",
    "from ctypes import c_uint16 as half\ndef product(x, s):\n    return half.from_address(s.data_ptr()).value\n",
    f"{IN_BYTES}    return np.frombuffer(b, dtype=np.uint16)\n",
    f"{IN_BYTES}    return np.frombuffer(b, '<i2')\n",
    f"{IN_BYTES}    return np.ctypeslib.as_array(b).view(np.int16)\n",
    (
        "def raw(t):\n    return (ctypes.c_ubyte * 9).from_address(t.data_ptr())\n"
        "def product(x, s):\n    return np.frombuffer(raw(s), np.uint16)\n"
    ),
    "def product(x, s):\n    return np.frombuffer((ctypes.c_byte * 9).from_address(s.data_ptr()), np.uint16)\n",
]
USES = [
    "s = torch.ones(4, dtype=torch.bfloat16)\nproduct(x, s)\n",
    "product(x, torch.ones(4, dtype=torch.bfloat16))\n",
    """\
class Layer(nn.Module):
    def __init__(self):
        self.scale = nn.Parameter(torch.zeros(4, dtype=torch.bfloat16))
    def forward(self, x):
        return product(x, self.scale)
""",
]
NOT_HANDED_OVER = [
    "seen = set()\ndef product(x, s):\n    seen.add(s.data_ptr())\n",
    """\
def product(x, s):
    if s.dtype == torch.float16:
        lib.run_fp16(s.data_ptr())
    else:
        lib.run_fp32(s.data_ptr())
""",
    "def product(x, s):\n    return zip(x, s)\n",
    "def product(x, s):\n    return bytes((ctypes.c_uint8 * s.nbytes).from_address(s.data_ptr()))\n",
    f"{IN_BYTES}    return np.frombuffer(b, dtype=np.uint8)\n",
]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("hands_over", HANDS_OVER)
def test_a_function_of_c_takes_what_it_is_made_for(hands_over: str, use: str) -> None:
    check_reported(LIBRARY + hands_over + use, code="PF902")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("other", NOT_HANDED_OVER)
def test_an_address_that_tells_tensors_apart(other: str, use: str) -> None:
    """Or a function that has one for each dtype."""
    text = LIBRARY + other + use
    check_rewritten(text, text.replace("torch.bfloat16", "torch.float32"))
