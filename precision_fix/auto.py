"""`import precision_fix.auto`, the first line of a program: bfloat16 becomes float32 on a GPU without
bfloat16 units.

It works before and after `import torch`, does nothing without torch, and never raises. PRECISION_FIX=off
turns it off; `precision_fix.runtime.status()` says what it did.
"""

from __future__ import annotations

from precision_fix.runtime import arm

arm()
