"""Cards by name, for machines that do not have the card: `--target t4`, `--target sm_75`."""

from __future__ import annotations

import re

from precision_fix.errors import PrecisionFixError
from precision_fix.gpu.model import ComputeCapability, Gpu


class UnknownGpu(PrecisionFixError):
    """No card or compute capability goes by that name. One line; it names the nearest right spellings."""


# Compute capabilities: https://developer.nvidia.com/cuda-gpus and, for the cards that left it,
# https://developer.nvidia.com/cuda-legacy-gpus. The name is the one the driver reports.
_CARDS: dict[tuple[int, int], tuple[str, ...]] = {
    (3, 5): ("Tesla K20", "Tesla K40"),
    (3, 7): ("Tesla K80",),
    (5, 0): ("Tesla M10", "GeForce GTX 750", "GeForce GTX 750 Ti"),
    (5, 2): (
        *("Tesla M4", "Tesla M40", "Tesla M60", "GeForce GTX TITAN X"),
        *("GeForce GTX 950", "GeForce GTX 960", "GeForce GTX 970", "GeForce GTX 980", "GeForce GTX 980 Ti"),
    ),
    (6, 0): ("Tesla P100", "Quadro GP100"),
    (6, 1): (
        *("Tesla P4", "Tesla P40", "NVIDIA TITAN X", "NVIDIA TITAN Xp"),
        *(
            "GeForce GT 1030",
            "GeForce GTX 1050",
            "GeForce GTX 1050 Ti",
            "GeForce GTX 1060",
            "GeForce GTX 1070",
        ),
        *("GeForce GTX 1070 Ti", "GeForce GTX 1080", "GeForce GTX 1080 Ti"),
        *("Quadro P1000", "Quadro P2000", "Quadro P4000", "Quadro P5000", "Quadro P6000"),
    ),
    (7, 0): ("Tesla V100", "NVIDIA TITAN V", "Quadro GV100"),
    (7, 5): (
        *("Tesla T4", "NVIDIA T4G", "NVIDIA TITAN RTX"),
        *("GeForce GTX 1630", "GeForce GTX 1650", "GeForce GTX 1650 SUPER", "GeForce GTX 1650 Ti"),
        *("GeForce GTX 1660", "GeForce GTX 1660 SUPER", "GeForce GTX 1660 Ti"),
        *("GeForce RTX 2060", "GeForce RTX 2060 SUPER", "GeForce RTX 2070", "GeForce RTX 2070 SUPER"),
        *("GeForce RTX 2080", "GeForce RTX 2080 SUPER", "GeForce RTX 2080 Ti"),
        *("Quadro RTX 3000", "Quadro RTX 4000", "Quadro RTX 5000", "Quadro RTX 6000", "Quadro RTX 8000"),
        *("NVIDIA T400", "NVIDIA T600", "NVIDIA T1000"),
    ),
    (8, 0): ("NVIDIA A100", "NVIDIA A800", "NVIDIA A30"),
    (8, 6): (
        *("NVIDIA A2", "NVIDIA A10", "NVIDIA A10G", "NVIDIA A16", "NVIDIA A40", "GeForce RTX 2050"),
        *("GeForce RTX 3050", "GeForce RTX 3050 Ti", "GeForce RTX 3060", "GeForce RTX 3060 Ti"),
        *("GeForce RTX 3070", "GeForce RTX 3070 Ti", "GeForce RTX 3080", "GeForce RTX 3080 Ti"),
        *("GeForce RTX 3090", "GeForce RTX 3090 Ti"),
        *("NVIDIA RTX A2000", "NVIDIA RTX A4000", "NVIDIA RTX A4500", "NVIDIA RTX A5000", "NVIDIA RTX A6000"),
    ),
    (8, 7): ("Jetson AGX Orin", "Jetson Orin NX", "Jetson Orin Nano"),
    (8, 9): (
        *("NVIDIA L4", "NVIDIA L40", "NVIDIA L40S", "NVIDIA RTX 6000 Ada Generation"),
        *("GeForce RTX 4050", "GeForce RTX 4060", "GeForce RTX 4060 Ti", "GeForce RTX 4070"),
        *("GeForce RTX 4070 SUPER", "GeForce RTX 4070 Ti", "GeForce RTX 4070 Ti SUPER", "GeForce RTX 4080"),
        *("GeForce RTX 4080 SUPER", "GeForce RTX 4090"),
    ),
    (9, 0): ("NVIDIA H100", "NVIDIA H800", "NVIDIA H20", "NVIDIA H200", "NVIDIA GH200"),
    (10, 0): ("NVIDIA B200", "NVIDIA GB200"),
    (10, 3): ("NVIDIA B300", "NVIDIA GB300"),
    (12, 0): (
        *("GeForce RTX 5050", "GeForce RTX 5060", "GeForce RTX 5060 Ti", "GeForce RTX 5070"),
        *("GeForce RTX 5070 Ti", "GeForce RTX 5080", "GeForce RTX 5090"),
        *("NVIDIA RTX PRO 4000 Blackwell", "NVIDIA RTX PRO 5000 Blackwell", "NVIDIA RTX PRO 6000 Blackwell"),
    ),
    (12, 1): ("NVIDIA GB10",),
}

# MiB, as nvidia-smi reports them by default (ECC on); only cards that are sold with one size of memory. Sources: the
# tables of nvidia-smi that people post, and for consumer cards NVIDIA's data sheets.
_MEMORY = {
    name: mib
    for mib, names in {
        6144: ("GeForce GTX 1660", "GeForce GTX 1660 SUPER", "GeForce GTX 1660 Ti"),
        7611: ("Tesla P4",),
        8192: (
            *("GeForce GTX 1070", "GeForce GTX 1070 Ti", "GeForce GTX 1080", "GeForce RTX 2060 SUPER"),
            *("GeForce RTX 2070", "GeForce RTX 2070 SUPER", "GeForce RTX 2080", "GeForce RTX 2080 SUPER"),
            *("GeForce RTX 3060 Ti", "GeForce RTX 3070", "GeForce RTX 3070 Ti"),
        ),
        11264: ("GeForce GTX 1080 Ti", "GeForce RTX 2080 Ti"),
        11441: ("Tesla K80",),
        12282: ("GeForce RTX 4070", "GeForce RTX 4070 SUPER", "GeForce RTX 4070 Ti"),
        15360: ("Tesla T4",),
        16376: ("GeForce RTX 4070 Ti SUPER", "GeForce RTX 4080", "GeForce RTX 4080 SUPER"),
        22919: ("Tesla P40",),
        23028: ("NVIDIA A10", "NVIDIA A10G"),
        23034: ("NVIDIA L4",),
        24564: ("GeForce RTX 3090 Ti", "GeForce RTX 4090"),
        24576: ("GeForce RTX 3090",),
        32607: ("GeForce RTX 5090",),
        46068: ("NVIDIA A40", "NVIDIA L40", "NVIDIA L40S"),
        143771: ("NVIDIA H200",),
    }.items()
    for name in names
}

# The same of cards that are sold with several sizes: the smallest, and of the P100 the one that Kaggle lends.
_USUAL_MEMORY = {"Tesla P100": 16280, "Tesla V100": 16160, "NVIDIA A100": 40536, "NVIDIA H100": 81559}

# Jetson boards and others that are not sold as cards, beside those in the table.
_CAPABILITIES = frozenset(_CARDS) | {(3, 0), (3, 2), (5, 3), (6, 2), (7, 2), (11, 0)}
# Newer than this table, and not yet a slip of the pen.
_FUTURE_MAJORS = range(13, 20)

_MAKERS = frozenset({"nvidia", "tesla", "geforce"})
# What drivers and shops add to a card's name without making it another card.
_FORMS = re.compile(
    r"pcie|sxm\d?|nvl|hbm\d\w?|\d+gb|laptop|mobile|gpu|max|q|with|design|generation"
    r"|server|workstation|edition|x\d"
)
# A card for laptops has the name of another with more memory.
_LAPTOP = re.compile(r"laptop|mobile|max[- ]?q", re.IGNORECASE)
_SIZE = re.compile(r"([0-9]{1,4}) ?gb", re.IGNORECASE)
_ARCHITECTURE = re.compile(
    # Two bare digits are a capability, and so are "100" to "199"; "960" and "750" are cards.
    r"(?:sm|compute)[_ -]?([0-9]{1,2})([0-9])[af]?|([0-9]{1,2})\.([0-9])|(1?[0-9])([0-9])",
    re.IGNORECASE,
)


def named(text: str) -> Gpu:
    """The card that `text` names: "t4", "Tesla P100-PCIE-16GB", "rtx 2080", "sm_75", "compute_75", "7.5".

    Memory is in bytes and is given only where the name leaves no choice; a size in the name counts as sold,
    16 GB as 16e9 bytes. Raises UnknownGpu.
    """
    text = text.strip()
    match = _ARCHITECTURE.fullmatch(text)
    if match is not None:
        capability = ComputeCapability(*(int(digits) for digits in match.groups() if digits))
        major, minor = capability
        if capability in _CAPABILITIES or major in _FUTURE_MAJORS:
            return Gpu(f"sm_{major}{minor}", capability)
        close = sorted(_CAPABILITIES, key=lambda known: abs(10 * known[0] + known[1] - 10 * major - minor))
        raise UnknownGpu(_unknown(text, [f"sm_{known[0]}{known[1]}" for known in sorted(close[:3])]))
    key = _key(text)
    for pair, names in _CARDS.items():
        for name in names:
            if key in _keys(name):
                size = _SIZE.search(text)
                mib = None if _LAPTOP.search(text) else _MEMORY.get(name)
                memory = int(size[1]) * 10**9 if size else mib * 2**20 if mib else None
                return Gpu(name, ComputeCapability(*pair), memory)
    raise UnknownGpu(_unknown(text, _nearest(key)))


def usual_memory(gpu: Gpu) -> int | None:
    """The bytes of a card that is sold with several sizes of memory, when the size is not known: a guess to name."""
    mib = _USUAL_MEMORY.get(gpu.name)
    return mib * 2**20 if mib else None


def _key(text: str) -> str:
    words = re.findall(r"[a-z0-9]+", text.lower())
    if len(words) > 1 and words[-1] == "gb" and words[-2].isdigit():
        words[-2:] = []
    while len(words) > 1 and words[0] in _MAKERS:
        del words[0]
    while len(words) > 1 and _FORMS.fullmatch(words[-1]):
        del words[-1]
    return "".join(words)


def _keys(name: str) -> tuple[str, ...]:
    key = _key(name)
    if name.startswith("GeForce "):
        # "3090" and "1080 ti" are what people say.
        return key, re.sub(r"^(gtx|rtx|gt)(?=\d)", "", key)
    return (key,)


def _nearest(key: str) -> list[str]:
    import difflib

    # "rtx 6000" is a Turing or an Ada card, so it names neither; both are worth a hint.
    spellings = {_key(name).removeprefix("quadro"): name for names in _CARDS.values() for name in names}
    spellings |= {key: name for names in _CARDS.values() for name in names for key in _keys(name)}
    near = [longer for longer in spellings if key and longer.startswith(key)]
    near += difflib.get_close_matches(key, spellings, n=3, cutoff=0.5)
    return list(dict.fromkeys(spellings[found] for found in near))[:3] or ["Tesla T4", "Tesla P100"]


def _unknown(text: str, nearest: list[str]) -> str:
    shown = text if len(text) <= 60 else text[:59] + "…"
    also = "a compute capability works too: sm_75 or 7.5"
    return f"unknown GPU {shown!r}: did you mean {', '.join(nearest)}? ({also})"
