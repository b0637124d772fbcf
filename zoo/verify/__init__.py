"""Whether a package is what it says: executed, compared, counted, never assumed."""

from zoo.verify.report import Check, Question, Report, verify

__all__ = ["Check", "Question", "Report", "verify"]
