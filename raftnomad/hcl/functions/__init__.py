"""The functions that expressions may call, as tables from a name to a function.

Those that look at files are not here: they belong to whoever reads job files on a machine of their own.
"""

from __future__ import annotations

from collections.abc import Callable

from raftnomad.hcl.calls import Function
from raftnomad.hcl.functions.arithmetic import ARITHMETIC_FUNCTIONS
from raftnomad.hcl.functions.attempts import ATTEMPT_FUNCTIONS
from raftnomad.hcl.functions.collections import COLLECTION_FUNCTIONS
from raftnomad.hcl.functions.dates import DATE_FUNCTIONS
from raftnomad.hcl.functions.encodings import ENCODING_FUNCTIONS
from raftnomad.hcl.functions.formatting import FORMATTING_FUNCTIONS
from raftnomad.hcl.functions.identifiers import identifier_functions
from raftnomad.hcl.functions.networks import NETWORK_FUNCTIONS
from raftnomad.hcl.functions.text import TEXT_FUNCTIONS


def standard_functions(random_bytes: Callable[[int], bytes]) -> dict[str, Function]:
    """Every function that needs no files."""
    return {
        **TEXT_FUNCTIONS,
        **ARITHMETIC_FUNCTIONS,
        **COLLECTION_FUNCTIONS,
        **ENCODING_FUNCTIONS,
        **FORMATTING_FUNCTIONS,
        **DATE_FUNCTIONS,
        **NETWORK_FUNCTIONS,
        **ATTEMPT_FUNCTIONS,
        **identifier_functions(random_bytes),
    }
