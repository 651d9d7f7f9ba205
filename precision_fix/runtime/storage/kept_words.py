"""What a cache in two bytes does with the functions of torch, by their names; `kept` has what each group means."""

from __future__ import annotations

from precision_fix.runtime.storage.cargo import MOVES

#: What asks or changes the very object.
OF_ITSELF = frozenset(("__delete__", "__get__", "__hash__", "__set__"))

#: What shows where the numbers lie, or hands the memory on: there it must be what it says it is.
_MEMORY = """
    __array__ __dlpack__ __reversed__ _typed_storage data_ptr is_set_to is_shared numpy pin_memory share_memory_ storage
    storage_type untyped_storage
"""
MEMORY = frozenset(_MEMORY.split())

#: What puts tensors together. What is joined to a cache that grows is rounded.
_JOINS = "cat column_stack concat concatenate dstack hstack row_stack stack vstack"
JOINS = frozenset(_JOINS.split())

#: What moves or copies numbers, or looks at its object.
_MORE = """
    __iter__ adjoint alias atleast_1d atleast_2d atleast_3d diagonal flip fliplr flipud gather is_floating_point
    is_nonzero masked_select narrow_copy positive repeat_interleave resolve_conj resolve_neg roll rot90 take
"""
MOVED = (MOVES - MEMORY - JOINS) | frozenset(_MORE.split())

#: What may give its argument back.
CASTS = frozenset(("to", "type"))

#: What writes numbers that it is given, and computes nothing with those that were there: at which place it takes them.
WRITES = {
    "__setitem__": 2,
    "copy_": 1,
    "fill_": 1,
    "index_copy_": 3,
    "index_fill_": 3,
    "index_put_": 2,
    "masked_fill_": 2,
    "masked_scatter_": 2,
    "put_": 2,
    "scatter_": 3,
    "zero_": 1,
}

#: And by which words.
VALUES = ("value", "values", "source", "src", "other")

#: Those whose argument after the numbers says to add.
ACCUMULATE = ("index_put_", "put_")
