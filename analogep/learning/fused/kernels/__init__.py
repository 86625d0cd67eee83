"""Compiled loops of the fused epochs (numba, cached on disk after the first use).

What makes them fast (Scellier 2024, section 4, and what follows from it):

* the clamped lines' current into the first layer is computed once per sample, in the same pass over the first
  crossbar that applies the update of the batch before; lines at 0 V cost nothing, four lines and samples a time;
* the update of a crossbar is a product of rank 2B, applied and clipped in one pass, which also leaves the new
  row and column sums; nothing of shape (batch, rows, columns) exists;
* a sweep reads each later crossbar once for two samples or lanes, and no row of nodes that stay at a bound;
* two barriers per update are all that threads need: samples are shared out for the phases, tiles of
  columns for the update. Every number is computed by one thread, in an order that does not depend on how many
  there are, so the result is the same to the last bit for any number of threads. (A sample's sums do depend, in
  their last bits, on the sample that goes abreast of it.)

``arrays`` names what the loops share, ``lanes`` multiplies, ``phases`` lets samples settle, ``first`` and
``updates`` change crossbars, ``loops`` puts an epoch together; ``intrinsics`` makes the threads wait for each
other and keeps the code small that has to be compiled. Kernels allocate nothing: their room comes from
``fused/scratch.py``.
"""
