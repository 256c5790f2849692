"""Injection and recovery: how complete and how reliable the events of an exposure are."""
