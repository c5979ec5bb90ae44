"""Amazon's book reviews as a TensorFlow dataset: Table 1 of the reproduction, from the raw files.

Importing this package imports no TensorFlow; `amazon_books_dataset_builder` does.
"""
