"""Pictures, movies and pages of what was found; see `ohana.report.visualizer` to begin with."""
