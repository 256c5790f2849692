"""Catalogues in other formats, and what many exposures of a detector have in common."""
