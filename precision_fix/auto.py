"""`import precision_fix.auto`, the first line of a program: bfloat16 becomes float32 on a GPU without
bfloat16 units.

It works before and after `import torch`, does nothing without torch, and never raises. The project's own modules are
edited in memory as they are imported; so is a main program that has nothing but imports before this one, which is then
run from its start, as edited. PRECISION_FIX=off turns it all off, PRECISION_FIX_EDITS=off the edits;
`precision_fix.runtime.status()` says what it did.
"""

from __future__ import annotations

from precision_fix.runtime import arm, edits
from precision_fix.runtime.edits.main import take_over

arm()
edits.look_ahead()
take_over()
