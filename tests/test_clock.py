from hypothesis import given
from hypothesis import strategies as st

from raftnomad.clock import from_rfc3339, rfc3339


def test_times_look_as_nomad_prints_them():
    assert rfc3339(1795494425_123456789) == "2026-11-24T04:27:05.123456789Z"
    assert rfc3339(1795494425_120000000) == "2026-11-24T04:27:05.12Z"
    assert rfc3339(1795494425_000000000) == "2026-11-24T04:27:05Z"


@given(st.integers(0, 2**62))
def test_a_printed_time_reads_back_the_same(time_ns):
    assert from_rfc3339(rfc3339(time_ns)) == time_ns
