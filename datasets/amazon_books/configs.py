"""The named configs of the dataset."""

from __future__ import annotations

from amazon_books.choices import Choices

CONFIGS: dict[str, tuple[str, Choices]] = {
    "synthetic": (
        "Generated: 2 % of the size of the real data, no download. For tests and first steps.",
        Choices(synthetic_scale=0.02),
    ),
    "final": ("Row Final of Table 1: categories filled, top 11, no missing values, 5-core.", Choices()),
    "raw": (
        "Row Raw of Table 1: the 2014 5-core reviews as they are, before filling and filtering.",
        Choices(
            category_order=("2014",),
            price_order=("2014",),
            top_categories=None,
            required_fields=(),
            exact_duplicates="keep",
            repeats="keep_all",
            core="off",
        ),
    ),
    "digital_music": (
        "Another category of the 2014 release: nothing filled, all categories, a 3-core.",
        Choices(
            root_category="Digital Music",
            file_stem="Digital_Music",
            category_order=("2014",),
            price_order=("2014",),
            top_categories=None,
            min_user=3,
            min_item=3,
        ),
    ),
}
"""The named configs: what each is, and its decisions."""
