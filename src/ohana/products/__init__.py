"""Products for mission pipelines: flags of reads and pixels, and rates without events."""

from ohana.products.write import write_products

__all__ = ["write_products"]
