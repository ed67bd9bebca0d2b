"""What is wrong with a complete job, and what is only odd about it, in Nomad's words.

A message may contain another list of messages: texts nest as Nomad prints them.
"""

from raftnomad.model.validation.job import validate
from raftnomad.model.validation.odd import warnings
from raftnomad.model.validation.texts import multierror, multiwarning

__all__ = ["multierror", "multiwarning", "validate", "warnings"]
