"""The files of a run, and opening them again."""
