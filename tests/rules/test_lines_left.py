"""What is found in each line of small programs: what stays, probes, casts, assertions."""

# A line, what is found in it and what becomes of it read best side by side.
# ruff: noqa: E501
from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.lines import check_lines

PROGRAMS = {
    ("PF001: comparisons and tables of sizes", "a.py", "float32"): """
        import torch
        def f(x, kind):
            if x.dtype == torch.bfloat16: return 2  #: PF001 keep compared with a dtype,
            if x.dtype in (torch.float16, torch.bfloat16): return 2  #: PF001 keep compared with a dtype,
            y = {torch.float32: 4, torch.bfloat16: 2}[x.dtype]  #: PF003 keep a key of a
            size = torch.bfloat16.itemsize  #: PF001 keep describes a dtype
            z = 1 if kind is torch.bfloat16 else 2  #: PF001 keep compared with a dtype,
            table[torch.bfloat16] = 1  #: PF003 keep names an entry that
            print(torch.bfloat16)  #: PF001 keep describes a dtype
            key = torch.bfloat16  #: PF001 keep a key that something
            use(table[key])
            unread = torch.bfloat16  #: PF001 keep given to a name
            width = torch.finfo(torch.bfloat16).bits  #: PF001 keep describes a dtype
        class A:
            def __init__(self):
                self.kind = torch.bfloat16  #: PF001 keep describes a dtype
            def size(self):
                return self.kind.itemsize
        """,
    ("PF002: what is supported", "a.py", "float32"): """
        import torch
        SUPPORTED = [torch.float32, torch.bfloat16]  #: PF002 keep SUPPORTED lists what is
        ALLOWED_KINDS = (torch.bfloat16,)  #: PF002 keep ALLOWED_KINDS lists what is
        KINDS = {torch.float16, torch.bfloat16}  #: PF002 keep a set, which is
        HALVES = [torch.float16, torch.bfloat16]  #: PF101 rewrite chooses a precision => HALVES = [torch.float16, torch.float32]
        for kind in HALVES:
            x.to(kind)
        UNAVAILABLE = [torch.bfloat16]  #: PF002 keep UNAVAILABLE lists what is
        LATER = [torch.float16, torch.bfloat16]  #: PF901 manual a list whose use
        def check(x):
            assert x.dtype in KINDS
        supported = frozenset([torch.bfloat16])  #: PF002 keep supported lists what is
        for kind in (KNOWN := [torch.bfloat16]):  #: PF101 rewrite chooses a precision => for kind in (KNOWN := [torch.float32]):
            y.to(kind)
        """,
    ("PF003: keys, codes and cases", "a.py", "float32"): """
        import torch
        import tensorrt as trt
        NAMES = {torch.bfloat16: "bf16"}  #: PF003 keep a key of a ; PF201 keep a word whose reader
        x = NAMES[torch.bfloat16]  #: PF003 keep names an entry that
        FROM = {trt.bfloat16: torch.bfloat16, trt.float32: torch.float32}  #: PF003 keep what torch calls another
        CODES = {torch.bfloat16: Tag.BF16, torch.float32: Tag.F32}  #: PF003 keep a key of a
        BACK = {Tag.BF16: torch.bfloat16, Tag.F32: torch.float32}  #: PF003 keep a code for the
        NUMBERS = {1: torch.bfloat16}  #: PF003 keep a case of a
        MADE = {"bf16": torch.bfloat16}  #: PF003 keep its map is turned ; PF007 keep compared, or looked up
        TURNED = {v: k for k, v in MADE.items()}
        CASES = [("cuda", torch.bfloat16, 1e-2), ("cpu", torch.float32, 1e-5)]  #: PF003 keep part of a record
        KINDS = {kind: torch.bfloat16}  #: PF105 rewrite a name stands for => KINDS = {kind: torch.float32}
        CHOSEN = {kind: torch.bfloat16}  #: PF105 rewrite a name stands for => CHOSEN = {kind: torch.float32}
        y.to(CHOSEN[k])
        WORDS = {f"{k}": torch.bfloat16}  #: PF105 rewrite a name stands for => WORDS = {f"{k}": torch.float32}
        z.to(WORDS["a"])
        """,
    ("PF004: file formats", "a.py", "float32"): """
        import torch
        TAGS = {"F32": torch.float32, "BF16": torch.bfloat16, "I64": torch.int64}  #: PF004 keep a table of file-format ; PF007 keep compared, or looked up
        OTHER = {"BF16": torch.bfloat16}  #: PF004 keep a table of file-format ; PF007 keep compared, or looked up
        ONE = {"F32": torch.float32, "x": torch.bfloat16}  #: PF105 rewrite a name stands for => ONE = {"F32": torch.float32, "x": torch.float32}
        TWO = {"F32": torch.float32, "F16": torch.float16, "x": torch.bfloat16}  #: PF004 keep a table of file-format
        header["dtype"] = "BF16"  #: PF004 keep the tag of a
        kept = torch.BFloat16Storage  #: PF004 keep a class of stored
        seen = torch.frombuffer(data, dtype={"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[k])  #: PF007 keep compared, or looked up ; PF401 manual@8 what is read so
        """,
    ("PF005: rounding and bits", "a.py", "float32"): """
        import torch
        def f(x, p):
            a = x.to(torch.bfloat16).to(torch.float32)  #: PF005 keep rounds to bfloat16 and
            b = x.bfloat16().float()  #: PF005 keep rounds to bfloat16 and
            c = x.bfloat16().contiguous().view(torch.int16)  #: PF005 keep the bits of the
            d = x.to(torch.bfloat16).clone().double()  #: PF005 keep rounds to bfloat16 and
            e = x.to(torch.bfloat16).to(torch.float16)  #: PF101 rewrite chooses a precision => e = x.to(torch.float32).to(torch.float16)
            g = x.to(torch.bfloat16).type(torch.float32)  #: PF005 keep rounds to bfloat16 and
            h = x.to(torch.bfloat16).to(dtype=torch.float64)  #: PF005 keep rounds to bfloat16 and
            high = x.bfloat16()  #: PF005 keep rounds to bfloat16 and
            low = x - high.float()
            other = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => other = x.to(torch.float32)
            more = other.float()
            bits = x.to(torch.bfloat16)  #: PF005 keep the bits of the
            seen = bits.view(torch.int16)
            p.data = x.to(torch.bfloat16).set_(y)  #: PF005 keep the bits of the
            i = torch.tensor(x, dtype=torch.bfloat16).float()  #: PF005 keep rounds to bfloat16 and
            j = make(x, torch.bfloat16).float()  #: PF101 rewrite chooses a precision => j = make(x, torch.float32).float()
            k = x.bfloat16().view(2, 3)  #: PF102 rewrite casts to bfloat16 => k = x.float().view(2, 3)
            late = x.bfloat16() + 1  #: PF005 keep the bits of the
            return late.view(torch.int16)
        """,
    ("PF006: what was found is reported", "a.py", "float32"): """
        import torch
        def kind(model, x, dtype, word, args):
            if any(p.dtype == torch.bfloat16 for p in model.parameters()):  #: PF001 keep compared with a dtype,
                return torch.bfloat16  #: PF006 keep reports the dtype that
            if x.dtype == torch.bfloat16 and y:  #: PF001 keep compared with a dtype,
                found = torch.bfloat16  #: PF006 keep reports the dtype that
            if not x.dtype == torch.bfloat16:  #: PF001 keep compared with a dtype,
                return torch.bfloat16  #: PF101 rewrite chooses a precision => return torch.float32
            if x.dtype != torch.bfloat16:  #: PF001 keep compared with a dtype,
                other = torch.bfloat16  #: PF001 keep given to a name
            if args.dtype == "bfloat16":  #: PF007 keep compared, or looked up
                return torch.bfloat16  #: PF101 rewrite chooses a precision => return torch.float32
            mine = x.dtype
            if mine == torch.bfloat16:  #: PF001 keep compared with a dtype,
                return torch.bfloat16  #: PF006 keep reports the dtype that
            if dtype == torch.bfloat16:  #: PF001 keep compared with a dtype,
                return x.to(torch.bfloat16)  #: PF006 keep casts back to the
            if dtype == torch.bfloat16:  #: PF001 keep compared with a dtype,
                return x.to("cuda", dtype=torch.bfloat16)  #: PF006 keep casts back to the
            if dtype == torch.bfloat16:  #: PF001 keep compared with a dtype,
                return make(x, kinds=[torch.bfloat16])  #: PF901 manual a list whose use
            a = torch.bfloat16 if dtype == torch.bfloat16 else torch.float32  #: PF001 keep compared with a dtype, ; PF006 keep mirrors the dtype that
            b = torch.float32 if dtype != torch.bfloat16 else torch.bfloat16  #: PF001 keep compared with a dtype, ; PF006 keep mirrors the dtype that
            c = torch.bfloat16 if not dtype != torch.bfloat16 else torch.float32  #: PF001 keep compared with a dtype, ; PF006 keep mirrors the dtype that
            d = torch.bfloat16 if dtype == torch.float16 else torch.float32  #: PF101 rewrite chooses a precision => d = torch.float32 if dtype == torch.float16 else torch.float32
            return a, b, c, d
        """,
    ("PF002: what is added to a list of what is supported", "a.py", "float32"): """
        import torch
        def advertised(major):
            supported = {torch.float16, torch.float32}
            if major >= 8:
                supported.add(torch.bfloat16)  #: PF002 keep supported lists what is
            return frozenset(supported)
        class Known:
            def __init__(self):
                self.known_dtypes = []
                self.known_dtypes.append(torch.bfloat16)  #: PF002 keep known_dtypes lists what is
                self.casts = []
                self.casts.append(torch.bfloat16)  #: PF101 rewrite chooses a precision => self.casts.append(torch.float32)
        def cast(x):
            allowed = [torch.float16]
            allowed.insert(0, torch.bfloat16)  #: PF101 rewrite chooses a precision => allowed.insert(0, torch.float32)
            return x.to(allowed[0])
        """,
    ("PF001: what ComfyUI chooses among", "a.py", "float32"): """
        import torch
        import comfy.model_management as mm
        from comfy.model_management import vae_dtype
        class Wrapped:
            def __init__(self, device, kind):
                self.one = mm.vae_dtype(device, [torch.float16, torch.bfloat16])  #: PF001 keep compared with a dtype,
                self.two = vae_dtype(device, (torch.bfloat16,))  #: PF001 keep compared with a dtype,
                self.three = mm.unet_manual_cast(kind, device, [torch.bfloat16])  #: PF001 keep compared with a dtype,
                self.four = mm.cast_to(kind, torch.bfloat16)  #: PF101 rewrite chooses a precision => self.four = mm.cast_to(kind, torch.float32)
        """,
    ("PF007: words that choose nothing", "a.py", "float32"): """
        word = "bf16"  #: PF007 keep compared, or looked up
        if word == "bf16": pass  #: PF007 keep compared, or looked up
        kinds = ["bf16", "fp16"]  #: PF007 keep one of a list
        compute_dtypes = ("bf16",)  #: PF201 rewrite compute_dtypes chooses a precision => compute_dtypes = ("fp32",)
        print("bf16")  #: PF007 keep part of a message
        def count(dtype, results):
            dtype_str = "f16" if dtype is torch.float16 else "bf16"  #: PF007 keep part of a message
            kinds = (dtype_str, "f8")
            return [results[f"W{dtype_str}"]] * len(kinds)
        assert plan == {"dtype": "bf16"}  #: PF007 keep part of what is
        metadata["dtype"] = "bf16"  #: PF007 keep recorded in the metadata
        file.metadata["dtype"] = "bf16"  #: PF007 keep recorded in the metadata
        class Kind(str, Enum):
            BF16 = "bf16"  #: PF007 keep the value of an
        class Other:
            dtype = "bf16"  #: PF007 keep compared, or looked up
        def f(args, dtype):
            name = "bf16" if dtype == torch.bfloat16 else "fp32"  #: PF001 keep compared with a dtype, ; PF007 keep part of a message
            if args.dtype == "bf16":  #: PF007 keep compared, or looked up
                known = "bf16"  #: PF007 keep part of a message
            if args.dtype == "bf16":  #: PF007 keep compared, or looked up
                use(dtype="bf16")  #: PF201 rewrite dtype chooses a precision => use(dtype="fp32")
            if args.dtype == "bf16":  #: PF007 keep compared, or looked up
                table["dtype"] = "bf16"  #: PF201 rewrite dtype chooses a precision => table["dtype"] = "fp32"
            os.environ.setdefault("DTYPE", "bf16")  #: PF201 rewrite DTYPE chooses a precision => os.environ.setdefault("DTYPE", "fp32")
            precision = "bf16"  #: PF007 manual@28 compared with, and handed
            if precision == "bf16":  #: PF007 keep compared, or looked up
                hand_on(precision)
        """,
    ("PF008 and PF301: probes", "a.py", "float32"): """
        import torch
        from transformers.utils import is_torch_bf16_gpu_available
        from mine import is_bf16_supported
        a = torch.cuda.is_bf16_supported()  #: PF301 rewrite the GPU has no => a = False
        b = torch.xpu.is_bf16_supported()  #: PF008 keep torch.xpu.is_bf16_supported is not torch's
        c = is_torch_bf16_gpu_available()  #: PF301 rewrite the GPU has no => c = False
        d = is_bf16_supported()  #: PF008 keep is_bf16_supported is not torch's
        e = torch.cuda.is_bf16_supported(including_emulation=False)  #: PF008 keep asks for real hardware
        f = torch.cuda.is_bf16_supported(False)  #: PF008 keep asks for real hardware
        g = torch.cuda.is_bf16_supported(including_emulation=True)  #: PF301 rewrite the GPU has no => g = False
        """,
    ("PF907: probes that refuse", "a.py", "float32"): """
        import torch
        assert torch.cuda.is_bf16_supported()  #: PF907 manual asserts that the GPU
        assert not torch.cuda.is_bf16_supported()  #: PF301 rewrite the GPU has no => assert not False
        if not torch.cuda.is_bf16_supported():  #: PF907 manual raises where the GPU
            raise ValueError
        if not torch.cuda.is_bf16_supported() and bf16:  #: PF907 manual raises where the GPU
            sys.exit(1)
        if torch.cuda.is_bf16_supported():  #: PF907 manual raises where the GPU
            pass
        else:
            raise ValueError
        if torch.cuda.is_bf16_supported():  #: PF301 rewrite the GPU has no => if False:
            raise ValueError
        if not torch.cuda.is_bf16_supported():  #: PF301 rewrite the GPU has no => if not False:
            print("no")
        def supported():
            return torch.cuda.is_bf16_supported()  #: PF907 manual raises where the GPU
        if not supported():
            exit()
        """,
    ("PF009: a run that shows whether it works", "a.py", "float32"): """
        import torch
        def probe_bf16(x):
            return x.to(torch.bfloat16)  #: PF009 keep part of a test
        def problem(x):
            return x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => return x.to(torch.float32)
        def works():
            torch.zeros(1, dtype=torch.bfloat16)  #: PF009 keep part of a test
        def f(self):
            try:
                torch.zeros(1, dtype=torch.bfloat16)  #: PF009 keep a test run that
                return True
            except RuntimeError:
                return False
        def g(self):
            try:
                torch.zeros(1).bfloat16()  #: PF009 keep a test run that
                ok = True
            except RuntimeError:
                if x:
                    ok = False
            return ok
        def h(self):
            try:
                torch.zeros(1, dtype=torch.bfloat16)  #: PF009 keep a test run that
            except RuntimeError:
                return False
            else:
                return True
        def i(self):
            try:
                self.model = load(torch.bfloat16)  #: PF101 rewrite chooses a precision => self.model = load(torch.float32)
                return True
            except RuntimeError:
                return False
        def j(self):
            try:
                return load(torch.bfloat16)  #: PF101 rewrite chooses a precision => return load(torch.float32)
            except RuntimeError:
                return None
        def k(self):
            try:
                x = 1
                return True
            except RuntimeError:
                torch.zeros(1, dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => torch.zeros(1, dtype=torch.float32)
                return False
        def m(self):
            try:
                torch.zeros(1, dtype=torch.bfloat16)  #: PF009 keep a test run that
                failed = False
            except RuntimeError:
                failed = True
        """,
    ("PF010: annotations", "a.py", "float32"): """
        import torch
        from typing import Annotated, Literal
        def f(x: torch.bfloat16, y: "torch.Tensor" = 1) -> torch.bfloat16:  #: PF010 keep part of an annotation ; PF010 keep part of an annotation
            kind: torch.bfloat16 = 1  #: PF010 keep part of an annotation
            dtype: Literal["bf16", "fp32"] = make()  #: PF010 keep part of an annotation
            z: Annotated[int, torch.bfloat16] = 1  #: PF010 keep part of an annotation
            return x
        Kind = Literal["bf16"]  #: PF010 keep part of an annotation
        table: dict[str, torch.dtype] = {"a": torch.bfloat16}  #: PF105 rewrite a name stands for => table: dict[str, torch.dtype] = {"a": torch.float32}
        """,
    ("PF101: what tells, and what chooses", "a.py", "float32"): """
        import torch
        def f(x, src_dtype=torch.bfloat16, dtype=torch.bfloat16):  #: PF101 manual src_dtype tells what something ; PF101 rewrite chooses a precision => def f(x, src_dtype=torch.bfloat16, dtype=torch.float32):
            return x.to(src_dtype), x.to(dtype)
        load(expected_dtype=torch.bfloat16)  #: PF101 manual expected_dtype tells what something
        load(dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => load(dtype=torch.float32)
        load(storage_dtype=torch.bfloat16)  #: PF101 manual storage_dtype tells what something
        load(checkpoint_dtype=torch.bfloat16)  #: PF101 manual checkpoint_dtype tells what something
        load(new_src_dtype=torch.bfloat16)  #: PF101 rewrite chooses a precision => load(new_src_dtype=torch.float32)
        def g():
            return torch.bfloat16  #: PF101 rewrite chooses a precision => return torch.float32
        from torch import bfloat16
        h = x.to(bfloat16)  #: PF101 rewrite chooses a precision => h = x.to(torch.float32)
        """,
    ("PF102: the method", "a.py", "float32"): """
        import torch
        def f(x, model):
            model.bfloat16()  #: PF102 rewrite casts to bfloat16 => model.float()
            y = x.bfloat16()  #: PF102 rewrite casts to bfloat16 => y = x.float().clone()
            y += 1
            return x.bfloat16
        """,
    ("PF103: autocast", "a.py", "float32"): """
        import torch
        with torch.autocast("cuda", dtype=torch.bfloat16): pass  #: PF103 rewrite an autocast region in => with torch.autocast("cuda", dtype=torch.float32, enabled=False): pass
        with torch.autocast("cuda", torch.bfloat16, enabled): pass  #: PF103 rewrite an autocast region in => with torch.autocast("cuda", torch.float32, False): pass
        with torch.autocast("cuda", torch.bfloat16, False): pass  #: PF103 rewrite an autocast region in => with torch.autocast("cuda", torch.float32, False): pass
        with torch.cuda.amp.autocast(False, torch.bfloat16): pass  #: PF103 rewrite an autocast region in => with torch.cuda.amp.autocast(False, torch.float32): pass
        with torch.cuda.amp.autocast(on, torch.bfloat16): pass  #: PF103 rewrite an autocast region in => with torch.cuda.amp.autocast(False, torch.float32): pass
        with torch.autocast(*given, dtype=torch.bfloat16): pass  #: PF103 rewrite an autocast region in => with torch.autocast(*given, dtype=torch.float32): pass
        with functools.partial(torch.autocast, "cuda", torch.bfloat16, on)(): pass  #: PF103 rewrite an autocast region in => with functools.partial(torch.autocast, "cuda", torch.float32, False)(): pass
        with other.autocast("cuda", dtype=torch.bfloat16): pass  #: PF101 rewrite chooses a precision => with other.autocast("cuda", dtype=torch.float32): pass
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=False): pass  #: PF103 rewrite an autocast region in => with torch.autocast("cuda", dtype=torch.float32, enabled=False): pass
        with torch.autocast(dtype=torch.bfloat16, **options): pass  #: PF103 rewrite an autocast region in => with torch.autocast(dtype=torch.float32, **options): pass
        with torch.autocast("xpu", dtype=torch.bfloat16): pass  #: PF904 keep autocast of another device
        with torch.autocast(device_type="mps", dtype=torch.bfloat16): pass  #: PF904 keep autocast of another device
        with torch.cpu.amp.autocast(dtype=torch.bfloat16): pass  #: PF103 rewrite an autocast region in => with torch.cpu.amp.autocast(dtype=torch.float32, enabled=False): pass
        with torch.cuda.amp.autocast(dtype=torch.bfloat16): pass  #: PF103 rewrite an autocast region in => with torch.cuda.amp.autocast(dtype=torch.float32, enabled=False): pass
        with torch.amp.autocast("cpu", torch.bfloat16): pass  #: PF103 rewrite an autocast region in => with torch.amp.autocast("cpu", torch.float32, enabled=False): pass
        @torch.autocast("cuda", dtype=torch.bfloat16)  #: PF103 rewrite an autocast region in => @torch.autocast("cuda", dtype=torch.float32, enabled=False)
        def f(x): pass
        kind = torch.bfloat16  #: PF101 rewrite chooses a precision => kind = torch.float32
        with torch.autocast("cuda", dtype=kind): pass
        """,
    ("PF103 and PF904: autocast of short weights", "a.py", "float32"): """
        import torch
        def f(model):
            model.to(torch.float8_e4m3fn)
            with torch.autocast("cuda", dtype=torch.bfloat16):  #: PF103 rewrite an autocast region, which => with torch.autocast("cuda", dtype=torch.float32):
                model(x)
        def g(model):
            model.to(torch.float8_e4m3fn)
            with torch.autocast("cpu", dtype=torch.bfloat16):  #: PF904 manual the region may cast
                model(x)
        """,
    ("PF104: tensor types", "a.py", "float32"): """
        import torch
        a = x.type(torch.BFloat16Tensor)  #: PF104 rewrite a tensor type in => a = x.type(torch.FloatTensor)
        b = torch.cuda.BFloat16Tensor(2)  #: PF104 rewrite a tensor type in => b = torch.cuda.FloatTensor(2)
        c = x.type("torch.cuda.BFloat16Tensor")  #: PF104 rewrite a tensor type in => c = x.type("torch.cuda.FloatTensor")
        d = x.type() == "torch.BFloat16Tensor"
        from torch import BFloat16Tensor
        e = BFloat16Tensor(2)
        """,
    ("PF105: maps", "a.py", "float32"): """
        import torch
        TABLE = {"bf16": torch.bfloat16, "fp32": torch.float32}  #: PF007 keep compared, or looked up ; PF105 rewrite a name stands for => TABLE = {"bf16": torch.float32, "fp32": torch.float32}
        x.to(TABLE[k])
        SIZES = {"bf16": torch.bfloat16}  #: PF007 keep compared, or looked up ; PF105 keep the map only gives
        SIZES["bf16"].itemsize  #: PF007 keep compared, or looked up
        LEFT = {"bf16": torch.bfloat16}  #: PF007 keep compared, or looked up ; PF105 rewrite a name stands for => LEFT = {"bf16": torch.float32}
        """,
    ("PF106: assertions", "a.py", "float32"): """
        import torch
        def f(x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype == torch.bfloat16  #: PF106 rewrite asserts what is rewritten => assert x.dtype == torch.float32
            if x.dtype == torch.bfloat16:  #: PF001 keep compared with a dtype,
                assert y.dtype == torch.bfloat16  #: PF106 keep asserts what the test
            if x.dtype != torch.bfloat16:  #: PF106 rewrite asserts what is rewritten => if x.dtype != torch.float32:
                raise ValueError
            return x
        def needs(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@12 moves together with line
            assert x.dtype == torch.bfloat16, "only bfloat16 is supported"  #: PF106 manual guards what needs bfloat16,
        def setting(x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype == torch.bfloat16, "requires --mixed_precision bf16"  #: PF106 rewrite asserts what is rewritten => assert x.dtype == torch.float32, "requires --mixed_precision bf16"
        def layout(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@18 moves together with line
            assert x.dtype == torch.bfloat16 and x.is_contiguous()  #: PF106 manual guards a compiled kernel,
        def raises(x):
            x = x.to(torch.bfloat16)  #: PF101 manual@21 moves together with line
            if x.dtype != torch.bfloat16:  #: PF106 manual guards what needs bfloat16,
                raise ValueError("only supports bf16")
        def others(x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            assert x.dtype == torch.bfloat16 and x.dim() == 2  #: PF106 rewrite asserts what is rewritten => assert x.dtype == torch.float32 and x.dim() == 2
            assert x.dtype == torch.bfloat16 or x.is_floating_point()  #: PF001 keep compared with a dtype,
            assert x.dtype == torch.bfloat16 or x.dtype == y.dtype  #: PF001 keep compared with a dtype,
        def equal(self, x):
            x = x.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => x = x.to(torch.float32)
            self.assertEqual(x.dtype, torch.bfloat16)  #: PF106 rewrite asserts what is rewritten => self.assertEqual(x.dtype, torch.float32)
            self.assertIs(x.dtype, torch.bfloat16)  #: PF106 rewrite asserts what is rewritten => self.assertIs(x.dtype, torch.float32)
            self.assert_equal(x.dtype, torch.bfloat16)  #: PF106 rewrite asserts what is rewritten => self.assert_equal(x.dtype, torch.float32)
            self.assertOther(x.dtype, torch.bfloat16)  #: PF101 rewrite chooses a precision => self.assertOther(x.dtype, torch.float32)
        def never(self, q):
            self.assertEqual(flash_attn_func(q).dtype, torch.bfloat16)  #: PF106 keep guards a kernel that
        class A:
            def __init__(self, compute=torch.bfloat16):  #: PF101 rewrite chooses a precision => def __init__(self, compute=torch.float32):
                self.compute = compute
            def f(self, x):
                assert self.compute == torch.bfloat16, "requires bfloat16"  #: PF106 rewrite asserts what is rewritten => assert self.compute == torch.float32, "requires bfloat16"
                return x.to(self.compute)
        def g(x):
            assert x.dtype == torch.bfloat16  #: PF106 manual guards what reads its
            x.view(torch.int16)
        def h(x):
            assert x.dtype == torch.bfloat16  #: PF001 keep compared with a dtype,
            return torch._scaled_mm(x, x)  #: PF916 manual products of float8 need
        """,
    ("PF107 and PF905: looked up", "a.py", "float32"): """
        import torch
        x.to(getattr(torch, "bfloat16"))  #: PF107 rewrite chooses a precision ; PF201 keep a word whose reader => x.to(getattr(torch, "float32"))
        if x.dtype == getattr(torch, "bfloat16"): pass  #: PF107 keep chooses nothing in this ; PF201 keep a word whose reader
        y.to(getattr(torch, args.dtype))  #: PF905 manual the dtype is named
        z.to(getattr(torch, name))
        dtype = getattr(torch, name)  #: PF905 manual the dtype is named
        v.to(dtype)
        u = getattr(torch, "float8_" + kind)  #: PF905 keep names a storage class
        w = getattr(torch, name + "Storage")  #: PF905 keep names a storage class
        if getattr(torch, args.dtype) == x.dtype: pass  #: PF905 keep only compared
        s = getattr(torch, "float32")
        """,
    ("PF108: refusals", "a.py", "float32"): """
        import torch
        def f(p):
            p = p.to(torch.bfloat16)  #: PF101 rewrite chooses a precision => p = p.to(torch.float32)
            assert p.dtype != torch.float32  #: PF108 rewrite refuses what is wider => assert p.dtype != torch.float64
            assert p.dtype is not torch.float  #: PF108 rewrite refuses what is wider => assert p.dtype is not torch.float64
            if p.dtype != torch.float32: pass
            assert p.dtype != torch.float16
        def g(p):
            assert p.dtype != torch.float32
            torch._scaled_mm(p, p)  #: PF916 manual products of float8 need
        """,
}


@pytest.mark.parametrize(("title", "path", "to"), PROGRAMS)
def test_each_line(title: str, path: str, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_lines(PROGRAMS[title, path, to], path=path, to=to)
