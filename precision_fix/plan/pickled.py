"""What a pickle would build, worked out without building it: nothing is imported and nothing is called.

Every opcode is interpreted on plain containers. A class or function stays its name (`Global`), and a call stays
the name and the arguments (`Call`). Opcodes: CPython's pickletools, which decodes the stream.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from typing import Any

from precision_fix.plan.contents import Unreadable, shown

#: The bytes and opcodes of one pickle. 10,000 tensors take 1.5 MB and 300,000 opcodes.
MOST_BYTES = 32 << 20
MOST_OPCODES = 3_000_000

# What has no place in a checkpoint, and is how a file runs a program when it is loaded. torch's own
# weights-only reader blocks the first four (torch/_weights_only_unpickler.py) and whatever it does not know.
_DANGEROUS = frozenset(
    (
        *("os", "posix", "nt", "sys", "subprocess", "pty", "runpy", "importlib", "socket", "shutil", "ctypes"),
        *("code", "commands", "webbrowser", "pickle", "_pickle", "marshal", "asyncio", "http", "httplib", "urllib"),
        *("requests", "aiohttp", "pip", "builtins", "__builtin__", "operator", "_operator", "timeit", "pdb", "bdb"),
    )
)
# getattr is how Python pickles the members of an enumeration.
_HARMLESS_BUILTINS = frozenset(
    (
        *("set", "frozenset", "bytearray", "complex", "dict", "list", "tuple", "int", "float", "str", "bool", "bytes"),
        *("object", "slice", "range", "getattr", "type", "long", "unicode", "Exception", "ValueError"),
    )
)


class Global:
    """A class or function by its name."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Dict:
    """A dictionary as pairs, since what stands for a key here need not be hashable."""

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        self.pairs: list[tuple[Any, Any]] = []


class Call:
    """An object that a call would give: of what, with which arguments, and what would be put into it."""

    __slots__ = ("added", "arguments", "of", "state")

    def __init__(self, of: Any, arguments: Any) -> None:
        self.of = of
        self.arguments = arguments
        self.state: Any = None
        self.added = Dict()


class Persistent:
    """An object that lies outside of the pickle, by its identifier."""

    __slots__ = ("identifier",)

    def __init__(self, identifier: Any) -> None:
        self.identifier = identifier


class Pickles(io.BytesIO):
    """The bytes of one pickle or more, one after the other."""

    def readline(self, size: int | None = -1, /) -> bytes:
        # No line of a checkpoint is longer, and Python 3.10.6 and before take hours for a number of that many digits.
        return super().readline(1 << 16)


class Machine:
    """One pickle, interpreted. `globals` are all names that it would import, in their order."""

    def __init__(self) -> None:
        self.globals: dict[str, Global] = {}
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def load(self, stream: Pickles) -> Any:
        """The object of the pickle that begins here; the position is left behind its end. Raises Unreadable."""
        count = 0
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                count += 1
                if count > MOST_OPCODES:
                    raise Unreadable(f"its pickle takes more than {MOST_OPCODES} steps")
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError, AssertionError) as error:
            # Decoding and stack discipline, in the words of pickletools where it has some.
            what = shown(str(error), 60) if isinstance(error, ValueError) else "opcodes without their operands"
            raise Unreadable(f"its pickle is damaged after {stream.tell()} bytes: {what}") from error
        raise Unreadable("its pickle has no end")

    @property
    def dangerous(self) -> str | None:
        """The first name that no checkpoint needs and that would run a program."""
        for name, each in self.globals.items():
            root = each.module.split(".")[0]
            harmless = root in ("builtins", "__builtin__") and each.name in _HARMLESS_BUILTINS
            # From protocol 4 on a name may lead through a module that another one has imported.
            through = each.name.split(".")[:-1]
            if (root in _DANGEROUS and not harmless) or not _DANGEROUS.isdisjoint(through):
                return name
        return None

    def _step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise ValueError(f"{name} is not known")

    def _to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._named(module, name)

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a global's name is no text")
        self._named(module, name)

    def _named(self, module: str, name: str) -> None:
        found = self.globals.setdefault(f"{module}.{name}", Global(module, name))
        self._stack.append(found)

    def _extension(self, argument: Any) -> None:
        self._named("copyreg", f"extension {argument}")

    def _put(self, argument: Any) -> None:
        self._memo[argument] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, argument: Any) -> None:
        self._stack.append(self._memo[argument])

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._to_mark()

    def _pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _new_list(self, _: Any) -> None:
        self._stack.append([])

    def _new_dict(self, _: Any) -> None:
        self._stack.append(Dict())

    def _marked_list(self, _: Any) -> None:
        self._stack_after(self._to_mark)

    def _marked_tuple(self, _: Any) -> None:
        self._stack_after(lambda: tuple(self._to_mark()))

    def _marked_dict(self, _: Any) -> None:
        def made() -> Dict:
            result = Dict()
            _pair_up(result, self._to_mark())
            return result

        self._stack_after(made)

    def _stack_after(self, made: Callable[[], Any]) -> None:
        value = made()
        self._stack.append(value)

    def _append(self, _: Any) -> None:
        value = self._stack.pop()
        _extend(self._stack[-1], [value])

    def _appends(self, _: Any) -> None:
        values = self._to_mark()
        _extend(self._stack[-1], values)

    def _set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _pair_up(self._stack[-1], [key, value])

    def _set_items(self, _: Any) -> None:
        values = self._to_mark()
        _pair_up(self._stack[-1], values)

    def _reduce(self, _: Any) -> None:
        arguments, of = self._stack.pop(), self._stack.pop()
        self._stack.append(_called(of, arguments))

    def _new_object(self, _: Any) -> None:
        arguments, of = self._stack.pop(), self._stack.pop()
        self._stack.append(Call(of, arguments))

    def _new_object_ex(self, _: Any) -> None:
        named, arguments, of = self._stack.pop(), self._stack.pop(), self._stack.pop()
        self._stack.append(Call(of, (arguments, named)))

    def _instance(self, argument: str) -> None:
        items = self._to_mark()
        self._global(argument)
        self._stack.append(Call(self._stack.pop(), tuple(items)))

    def _object(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append(Call(items[0], tuple(items[1:])))

    def _build(self, _: Any) -> None:
        state, of = self._stack.pop(), self._stack[-1]
        if isinstance(of, Call):
            of.state = state

    def _persistent(self, argument: Any) -> None:
        self._stack.append(Persistent(argument))

    def _persistent_on_stack(self, _: Any) -> None:
        self._stack.append(Persistent(self._stack.pop()))

    def _nothing(self, _: Any) -> None:
        pass

    def _tuple_of(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) < count:
            raise IndexError
        del self._stack[-count:]
        self._stack.append(items)


def _called(of: Any, arguments: Any) -> Any:
    # The dictionary of every state_dict. Python 3 sets what is in it afterwards, Python 2 calls it with pairs.
    if isinstance(of, Global) and str(of) == "collections.OrderedDict":
        match arguments:
            case ():
                return Dict()
            case ([*pairs],) if all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
                result = Dict()
                result.pairs.extend((key, value) for key, value in pairs)
                return result
    return Call(of, arguments)


def _extend(target: Any, values: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(values)
    elif isinstance(target, Call):
        target.added.pairs.extend((None, value) for value in values)
    else:
        raise TypeError


def _pair_up(target: Any, values: list[Any]) -> None:
    if len(values) % 2:
        raise ValueError("a key without a value")
    if isinstance(target, Call):
        target = target.added
    if not isinstance(target, Dict):
        raise TypeError
    target.pairs.extend(zip(values[::2], values[1::2], strict=True))


_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_STEPS: dict[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "READONLY_BUFFER"), Machine._nothing),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Machine._put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine._get),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), Machine._extension),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), Machine._new_list),
    **dict.fromkeys(("LIST", "FROZENSET"), Machine._marked_list),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), Machine._appends),
    "MARK": Machine._mark,
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "MEMOIZE": Machine._memoize,
    "POP": Machine._pop,
    "POP_MARK": Machine._pop_mark,
    "DUP": Machine._dup,
    "EMPTY_DICT": Machine._new_dict,
    "TUPLE": Machine._marked_tuple,
    "DICT": Machine._marked_dict,
    "APPEND": Machine._append,
    "SETITEM": Machine._set_item,
    "SETITEMS": Machine._set_items,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._new_object,
    "NEWOBJ_EX": Machine._new_object_ex,
    "INST": Machine._instance,
    "OBJ": Machine._object,
    "BUILD": Machine._build,
    "PERSID": Machine._persistent,
    "BINPERSID": Machine._persistent_on_stack,
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
}
