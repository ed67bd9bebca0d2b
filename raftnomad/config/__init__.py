"""The agent's configuration: Nomad's files and flags, read, merged, checked."""

from raftnomad.config.load import Configuration, dev_values, load
from raftnomad.config.settings import AgentConfig

__all__ = ["AgentConfig", "Configuration", "dev_values", "load"]
