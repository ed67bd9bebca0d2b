import pytest

from raftnomad.config.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1K", 1000), ("1M", 1_000_000), ("1.5 MB", 1_500_000), ("512KiB", 524_288), ("7", 7), ("2b", 2), ("1gi", 2**30)],
)
def test_sizes_are_in_thousands_unless_they_say_otherwise(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1K", "1 furlong"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)
