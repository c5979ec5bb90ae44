"""From values over replicates to verdicts; no TensorFlow, no drawing."""
