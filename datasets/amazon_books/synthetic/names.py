"""Names of categories and the invented vocabulary of titles, authors and texts."""

from __future__ import annotations

MAJOR_CATEGORIES = (
    "Literature & Fiction",
    "Romance",
    "Mystery, Thriller & Suspense",
    "Children's Books",
    "Science Fiction & Fantasy",
    "Christian Books & Bibles",
    "Teen & Young Adult",
    "Biographies & Memoirs",
    "Health, Fitness & Dieting",
    "Cookbooks, Food & Wine",
    "History",
    "Self-Help",
    "Business & Money",
    "Religion & Spirituality",
    "Politics & Social Sciences",
    "Arts & Photography",
    "Crafts, Hobbies & Home",
    "Comics & Graphic Novels",
    "Humor & Entertainment",
    "Parenting & Relationships",
    "Reference",
    "Sports & Outdoors",
    "Science & Math",
    "Travel",
    "Computers & Technology",
    "Engineering & Transportation",
    "Education & Teaching",
    "Medical Books",
    "Gay & Lesbian",
    "Law",
    "Test Preparation",
    "Calendars",
    "New, Used & Rental Textbooks",
    "Libros en español",
)
"""In the order of their interactions; the first eleven are the ones that Final keeps."""

_PROMOTIONS = ("Deals in Books", "Blowout Books", "Picks", "Gift Guide", "Staff Favorites", "Bargain Shelf")
_OCCASIONS = (
    "All Year",
    "Summer",
    "Holiday",
    "Spring",
    "Campus",
    "Weekend",
    "Travel Season",
    "Book Club",
    "Anniversary",
    "Winter",
)
PROMOTIONAL_CATEGORIES = tuple(
    name if occasion == "All Year" else f"{occasion} {name}" for occasion in _OCCASIONS for name in _PROMOTIONS
)
CATEGORIES = (*MAJOR_CATEGORIES, *PROMOTIONAL_CATEGORIES)
"""94 second-level names, about half of them promotional as in the real files."""

SUBGENRES = (
    "Contemporary", "Historical", "Classics", "Short Stories", "Series", "Essays", "Guides", "Regional", "Adventure",
    "Family Life", "Anthologies", "Criticism & Theory", "Reference & Collections", "Humor & Satire", "Women's Interest",
    "War & Military", "Animals", "Seasonal", "Biographical", "How-to & Practice", "Nature & Ecology", "World Cultures",
)  # fmt: skip

FIRST_NAMES = (
    "Ada", "Bruno", "Clara", "Dorian", "Edda", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Katla", "Leander", "Mira",
    "Nils", "Ottilie", "Pavel", "Quentin", "Rosa", "Silvan", "Thea", "Ulrich", "Vera", "Wanda", "Xaver", "Yara", "Zeno",
)  # fmt: skip
LAST_NAMES = (
    "Abelard", "Birkenfeld", "Castellane", "Dunmore", "Eskildsen", "Farrowby", "Grimsditch", "Halloran", "Ivarsson",
    "Jellicoe", "Kestrelton", "Lindqvist", "Marchbanks", "Nightingale", "O'Rorke", "Pemberly", "Quillfeather",
    "Ravenscar", "Sommerfeld", "Thistlewood", "Underhay", "Valdemar", "Winterbourne", "Yarrow", "Zellweger", "Étienne",
)  # fmt: skip

NOUNS = (
    "book", "story", "author", "chapter", "plot", "character", "ending", "series", "reader", "page", "village",
    "harbour", "winter", "garden", "letter", "lantern", "river", "kitchen", "recipe", "soldier", "sister", "orchard",
    "mystery", "map", "bridge", "island", "teacher", "secret", "shadow", "promise", "journey", "clockmaker",
    "lighthouse", "forest", "market", "painter", "captain", "daughter", "neighbour", "stranger",
)  # fmt: skip
ADJECTIVES = (
    "quiet", "gripping", "thoughtful", "slow", "charming", "uneven", "funny", "honest", "predictable", "vivid",
    "tender", "crooked", "useful", "dense", "delightful", "flat", "clever", "haunting", "practical", "warm",
    "forgotten", "silver", "long", "bright", "stubborn", "restless", "gentle", "strange", "northern", "last",
)  # fmt: skip
VERBS = (
    "enjoyed", "finished", "liked", "followed", "doubted", "understood", "remembered", "recommended", "expected",
    "loved", "put down", "reread", "borrowed", "skipped", "trusted", "missed",
)  # fmt: skip
SENTENCES = (
    "I {v} the {a} {n} more than I had thought.",
    "The {n} is {a}, and the {n} is {a} as well.",
    "It's a {a} {n} about a {n} and a {a} {n}.",
    "My {n} {v} it too!",
    "If you {v} the last {n}, you'll want this {n}.",
    "There is a {a} {n} in the middle of the {n}, which nobody {v}.",
    "Not as {a} as the {n} before, but still {a}.",
    "I {v} it in {k} days; the {n} kept me awake.",
    "The {n} didn't convince me, though the {a} {n} was {a} enough.",
    "Very {a}.",
    "Would I buy another {n} of this kind? Yes, and a {a} one.",
    "On page {k} the {n} turns {a}, and from there on the {n} moves fast.",
    "A {a} {n} for anyone who has {v} a {n}.",
    "{k} stars for the {n}, fewer for the {a} {n}.",
)
TITLES = (
    "The {A} {N}", "A {N} of {N}s", "The {N}'s {N}", "{A} {N}s", "The {N} and the {N}", "{N} by the {N}",
    "Beyond the {A} {N}", "The {A} {N} (The {N} Saga, Book {k})", "How to Keep a {N}: A {A} Guide", "{N}", "My {A} {N}",
    "The {N} \"{A}\" Club",
)  # fmt: skip
SUMMARIES = (
    "{A} {n}", "A {a} {n}", "Five Stars", "Four Stars", "Three Stars", "{A}", "{A} and {a}", "I {v} this {n}",
    "Not my {n}", "Best {n} of the year!", "The {n} I {v}", "OK", "{A}, {a} {n}", "For the {n} lover", "{A} but {a}",
)  # fmt: skip
