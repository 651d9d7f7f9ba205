"""Run projects that hard-code bfloat16 on GPUs without bfloat16 units (compute capability below 8.0)."""
