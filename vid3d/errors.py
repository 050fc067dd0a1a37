"""The one family of errors that vid3d raises on purpose."""


class Vid3dError(Exception):
    """Something a user can mend.

    The message is one line that says what was wrong, with which input, and what to do about it.
    The command line prints that line and exits with status 1.
    """
