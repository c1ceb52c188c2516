"""What is measured of a model by what it can do: bound a likelihood, reconstruct, translate, encode ..."""
