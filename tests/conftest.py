"""Settings for all tests."""

from hypothesis import HealthCheck, settings

# Time limits say more about a busy machine than about the code.
settings.register_profile("ohana", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ohana")
