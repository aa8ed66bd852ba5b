"""Number crunching without domain words: blocks of flat arrays, the level scheme, numba kernels."""
