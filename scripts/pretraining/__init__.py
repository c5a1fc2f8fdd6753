"""How the embedded model `tiny` is made: text tower from a sentence encoder, image tower from drawings."""
