"""A zoo of models whose true robustness is known: traps, one file for each kind of fault, and honest ones."""

from bench.diagnostics.traps import batch, decoy, honest, inplace, literature, memory, scale, stiff
from bench.diagnostics.traps.trap import HONEST, Around, Trap
from bench.diagnostics.traps.truth import withstand

__all__ = ["HONEST", "TRAPS", "Around", "Trap", "withstand"]

TRAPS: tuple[Trap, ...] = (
    *decoy.TRAPS,
    *stiff.TRAPS,
    *batch.TRAPS,
    *memory.TRAPS,
    *scale.TRAPS,
    *inplace.TRAPS,
    *literature.TRAPS,
    *honest.TRAPS,
)
"""All of them; those of kind `HONEST` are no traps."""
