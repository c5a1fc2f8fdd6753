"""What to do with an answer: give it, ask a human, or say that it is none of the classes."""
