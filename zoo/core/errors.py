"""Errors that a user can act on: one line each, saying what, the rule, the remedy."""


class ZooError(Exception):
    """Something the user can put right; the command line prints it as one line."""


class BadInput(ZooError):
    """A recording, table or option that breaks a stated rule."""


class BadPackage(ZooError):
    """A package that is damaged, unsafe or not what it says it is."""


class UnknownPackage(ZooError):
    """A package name that nothing is known under."""
