"""Who trains one replicate: Keras or PyTorch, behind one contract."""
