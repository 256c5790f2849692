"""The commands: parse, take settings, make one call, say what was written."""
