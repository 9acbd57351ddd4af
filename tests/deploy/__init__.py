"""deploy/: the image, the manifests and the unit, checked by the programs that read them."""
