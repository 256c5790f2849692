"""What pytest leaves out where an extra is not installed."""

from importlib.util import find_spec

#: The module says at import which extra it needs.
collect_ignore = [] if find_spec("jwst") else ["src/ohana/jwst.py"]
