"""Object masks from boxes, polygons, run lengths and pictures: evidence of where the object is."""
