"""The catalogue of events in other formats."""
