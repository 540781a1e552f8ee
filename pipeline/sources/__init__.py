"""Raw formats and the sample: how raw files become tables; `readers` has the list."""
