"""Raw frames of structured illumination: pattern, phases and what to warn of.

Opened with a recording only: this needs SciPy, and listing kinds of input must not.
"""
