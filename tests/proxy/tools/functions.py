"""Functions that are served as tools."""


def tide(town: str, days: int = 1) -> str:
    """Tell the tide of a town."""
    return f"{town}: {days}"
