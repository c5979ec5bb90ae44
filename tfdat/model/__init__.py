"""The Dual Augmented Two-tower model and its losses, as Keras layers and a `tfrs.Model`."""
