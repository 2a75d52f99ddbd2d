"""Sessions on the workers of a Dask cluster: what travels, where each session runs, and both ends of it.

Imports `distributed` where it is used only: it is the optional extra `[farm]`.
"""
