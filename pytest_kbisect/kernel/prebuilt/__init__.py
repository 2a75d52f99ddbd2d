"""Kernels that somebody else built: packages in a folder, or what apt offers.

offers finds them, package_tree makes a git tree of them (a commit for each package, in the order of their
versions), so that they are bisected like commits of Linux, and unpacking takes image, configuration and
modules out of a package where a build would have made them.
"""
