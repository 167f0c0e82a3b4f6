"""What the processes declare, each in its settings.py."""

import importlib

from services.runtime.environment import SettingRow
from services.runtime.settings import ProcessSettings, describe


def settings_of(package: str) -> list[SettingRow]:
    """Return the settings of a process, by its package."""
    module = importlib.import_module(f"{package}.settings")
    if package == "services.termchat":  # no server: it says there why its settings are no model
        return list(module.ROWS)
    (settings_type,) = [
        found
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, ProcessSettings) and found is not ProcessSettings
    ]
    return describe(settings_type)
