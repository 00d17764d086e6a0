"""The errors raised on purpose. Bugs use Python's own."""


class FollowupError(Exception):
    """Base of every error raised on purpose; ``str(error)`` is fit to show to an operator."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigurationError(FollowupError):
    """A setting is missing, wrong, or does not fit another one."""


class UsageError(FollowupError):
    """The command cannot be carried out as it was given."""

    exit_code = 2


class NotFound(FollowupError):
    """Nothing on the record goes by that name."""


class IllegalTransition(FollowupError):
    """One of our own actions does not fit the state it met."""


class TemporaryError(FollowupError):
    """Something we depend on is away; the same command may work later."""

    exit_code = 3
