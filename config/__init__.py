"""The settings of a deployment and the tables that come with the product.

    settings = load(Path("var/gateway.toml"))
    settings.service_address        # "teleexpertise@demo.mssante.example"

`load` raises `ConfigError` only; `manual` is the reference of all settings; `write_toml` makes a settings
file; `specialties`, `departments` and `read_resource` give the tables shipped beside this module.
"""

from config.describe import manual, write_toml
from config.errors import ConfigError, Problem
from config.loader import load, load_mapping
from config.resources import Specialty, departments, read_resource, specialties
from config.settings import Settings

__all__ = [
    "ConfigError",
    "Problem",
    "Settings",
    "Specialty",
    "departments",
    "load",
    "load_mapping",
    "manual",
    "read_resource",
    "specialties",
    "write_toml",
]
