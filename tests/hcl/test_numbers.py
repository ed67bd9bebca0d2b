from fractions import Fraction

import pytest

from raftnomad.hcl.numbers import format_number, parse_number, rounded


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("42", "42"),
        ("-0", "-0"),
        ("1.0", "1"),
        ("2.50", "2.5"),
        ("1e3", "1000"),
        ("25e-2", "0.25"),
        ("1e-10", "0.0000000001"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("3.14159265358979323846264338327950288", "3.14159265358979323846264338327950288"),
    ],
)
def test_a_number_is_printed_without_an_exponent(written: str, printed: str) -> None:
    assert format_number(parse_number(written)) == printed


def test_tenths_add_up() -> None:
    total = rounded(Fraction(parse_number("0.1")) + Fraction(parse_number("0.2")))
    assert format_number(total) == "0.3"


def test_a_third_has_512_bits() -> None:
    assert format_number(rounded(Fraction(1, 3))) == "0." + "3" * 154 + "5"


def test_infinity_is_printed() -> None:
    assert [format_number(float("inf")), format_number(float("-inf"))] == ["+Inf", "-Inf"]


def test_a_huge_exponent_is_refused() -> None:
    with pytest.raises(ValueError, match="exponent"):
        parse_number("1e999999")
