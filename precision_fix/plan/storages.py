"""The storages and tensors in what a torch pickle would build."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from precision_fix.plan.contents import MOST_TENSORS, Contents, Tensor, Unreadable, shown
from precision_fix.plan.dtypes import DTYPES, Dtype
from precision_fix.plan.pickled import Call, Dict, Global, Persistent

# torch/_tensor_classes and torch/storage.py. The class says the dtype, except for UntypedStorage.
_CLASSES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QUInt8Storage": "quint8",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
    "UntypedStorage": "",
}
_BYTES = DTYPES["uint8"]
_LONGEST_NAME, _DEEPEST = 200, 60
# torch.save of a whole module: the tensors of `model` lie in `model._modules.x._parameters.weight`.
_INNER = frozenset(("_modules", "_parameters", "_buffers"))


class _Storage:
    __slots__ = ("dtype", "is_state", "name", "nbytes")

    def __init__(self, dtype: Dtype | None, nbytes: int) -> None:
        self.dtype = dtype
        self.nbytes = nbytes
        self.name = ""
        self.is_state = True


class Storages:
    """The storages below an object, each once.

    `size_of` gives the bytes that the file has for a key, None where it has none; without it (the old
    format) what the pickle says is taken. Raises Unreadable.
    """

    def __init__(self, found: object, size_of: Callable[[str], int | None] | None) -> None:
        self._size_of = size_of
        self._storages: dict[str, _Storage] = {}
        for path, each in _walk(found):
            if isinstance(each, Call):
                self._tensor(path, each)
            elif isinstance(each, Persistent):
                storage = self._storage(each)
                # A storage that no tensor looks into, or none so far.
                if not storage.name:
                    storage.name = _name(path)
                    storage.is_state = _is_state(path)

    def __len__(self) -> int:
        return len(self._storages)

    @property
    def nbytes(self) -> int:
        return sum(storage.nbytes for storage in self._storages.values())

    def contents(self, name: str, notes: tuple[str, ...]) -> Contents:
        weights = [storage for storage in self._storages.values() if not storage.is_state]
        tensors = []
        for storage in weights:
            dtype = storage.dtype or _BYTES
            numel = storage.nbytes * dtype.block // dtype.block_bytes
            tensors.append(Tensor(storage.name, dtype, numel, storage.nbytes))
        return Contents(name, tuple(tensors), self.nbytes - sum(storage.nbytes for storage in weights), notes)

    def _storage(self, each: Persistent) -> _Storage:
        match each.identifier:
            case ("storage", Global() as kind, str() as key, _, int() as numel, *_) if numel >= 0:
                pass
            case _:
                raise Unreadable("its pickle names something outside of itself that is no storage")
        found = self._storages.get(key)
        if found is not None:
            return found
        if kind.name not in _CLASSES:
            raise Unreadable(f"an unknown class of storage: {shown(str(kind))}")
        dtype = DTYPES.get(_CLASSES[kind.name])
        nbytes = numel * (dtype.block_bytes if dtype else 1)
        if self._size_of is not None:
            held = self._size_of(key)
            if held is None or held < nbytes:
                there = "has no data" if held is None else f"has {held} bytes"
                raise Unreadable(f"truncated: storage '{shown(key)}' of {nbytes} bytes {there} in the file")
        if len(self._storages) == MOST_TENSORS:
            raise Unreadable(f"names more than {MOST_TENSORS} storages")
        found = self._storages[key] = _Storage(dtype, nbytes)
        return found

    def _tensor(self, path: tuple[Any, ...], call: Call) -> None:
        match call.of, call.arguments:
            case Global(module="torch._utils", name=name), (
                Persistent() as held,
                offset,
                tuple() as shape,
                strides,
                *more,
            ):
                pass
            case _:
                return
        if name not in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor"):
            return
        storage = self._storage(held)
        if name == "_rebuild_tensor_v3" and len(more) > 2 and isinstance(more[2], Global):
            storage.dtype = DTYPES.get(more[2].name, storage.dtype)
        size = storage.dtype.block_bytes if storage.dtype else 1
        if _reach(offset, shape, strides) * size > storage.nbytes:
            raise Unreadable(f"tensor '{shown(_name(path))}' reaches beyond its storage")
        if not storage.name or (storage.is_state and not _is_state(path)):
            storage.name = _name(path)
            storage.is_state = _is_state(path)


def _reach(offset: object, shape: tuple[Any, ...], strides: object) -> int:
    """The elements of a storage that a view needs, from its beginning. Raises Unreadable for what is no view."""
    if not isinstance(strides, tuple) or len(strides) != len(shape) or len(shape) > 64:
        raise Unreadable("a tensor whose shape and strides do not go together")
    numbers: tuple[Any, ...] = (offset, *shape, *strides)
    if not all(type(number) is int and 0 <= number < 1 << 64 for number in numbers):
        raise Unreadable("a tensor whose offset, shape and strides are not all whole numbers from 0 up")
    reach: int = numbers[0] + 1 + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))
    return 0 if 0 in shape else reach


def _walk(found: object) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every object below one, each once, with the keys that lead to it: a call before what it is called with."""
    seen: set[int] = set()
    pending: list[tuple[tuple[Any, ...], Any]] = [((), found)]
    while pending:
        path, each = pending.pop()
        if not isinstance(each, (Dict, Call, list, tuple, Persistent)) or id(each) in seen:
            continue
        seen.add(id(each))
        yield path, each
        if not isinstance(each, Persistent):
            pending.extend(reversed([(_longer(path, key), value) for key, value in _below(each)]))


def _below(each: Dict | Call | list[Any] | tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    if isinstance(each, Dict):
        yield from each.pairs
    elif isinstance(each, Call):
        yield None, each.arguments
        yield None, each.state
        yield from each.added.pairs
    else:
        # The positions in an argument list say nothing, and there is no telling it from another one.
        yield from ((None, value) for value in each)


def _longer(path: tuple[Any, ...], key: object) -> tuple[Any, ...]:
    if key is None or len(path) >= _DEEPEST or not isinstance(key, (str, int)) or key in _INNER:
        return path
    return (*path, key if isinstance(key, int) else key[:_LONGEST_NAME])


def _name(path: tuple[Any, ...]) -> str:
    # An integer from a pickle may have more digits than Python turns into text.
    keys = (key if isinstance(key, str) else str(key) if abs(key) < 1 << 64 else "…" for key in path)
    return ".".join(keys)[:_LONGEST_NAME] or "tensor"


def _is_state(path: tuple[Any, ...]) -> bool:
    """Is this the state of an optimizer? Lightning: optimizer_states; elsewhere optimizer, optim, opt."""
    first = path[0] if path else ""
    return isinstance(first, str) and first.lower().startswith(("optim", "opt_"))
