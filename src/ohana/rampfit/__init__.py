"""Statistics of one ramp: covariance, noise, and the step at every read. No classes of events."""
