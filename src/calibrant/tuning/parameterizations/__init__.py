"""What is trainable: one short file each."""
