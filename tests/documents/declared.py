"""What the processes declare, in the settings.py of proxy, gateway, services/simulator and services/webchat."""

import importlib

from services.runtime.settings import ProcessSettings, SettingRow, describe


def settings_of(package: str) -> list[SettingRow]:
    """Return the settings of a process, by its package."""
    module = importlib.import_module(f"{package}.settings")
    (settings_type,) = [
        found
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, ProcessSettings) and found is not ProcessSettings
    ]
    return describe(settings_type)
