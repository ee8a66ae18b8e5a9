"""What a user can say of columns: an option of `gpu-thermo fit`, and in brackets the key of [data] in a spec, as Python
writes it, since the estimators have it as a parameter.
"""

from .labels import shorten


def as_kind(name: str, kind: str) -> str:
    """That a column is of this kind."""
    return f'--kind "{shorten(name)}={kind}" (kinds = {{"{shorten(name)}" = "{kind}"}})'


def leave_out(name: str) -> str:
    """That a column is not used."""
    return f'--drop "{shorten(name)}" (drop = ["{shorten(name)}"])'


FEATURES = "--features A,B (features = [...])"
"""Which columns are used."""
DROP_MISSING_TARGET = "--drop-missing-target (in Python drop_missing_target=True)"
"""That rows without an answer are not used."""


def as_task(task: str) -> str:
    """What the answer is."""
    return f'--task {task} (task = "{task}")'
