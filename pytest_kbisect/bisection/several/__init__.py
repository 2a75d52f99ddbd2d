"""Several bisections at once (`--kbisect-each`): each on its own, with kernels and sessions shared."""
