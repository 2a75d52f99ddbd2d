"""`python3 -m pytest_kbisect VERB`: starts kbisect in a clone. See `checkout`.

Old versions of Python, including 2.7, can parse this module. It then prints that they are too old.
"""

import sys

_USAGE = 4


def main(arguments):  # type: (list[str]) -> int
    """Check the version of Python, then call `checkout`."""
    if sys.version_info < (3, 11):
        version = ".".join(map(str, sys.version_info[:3]))
        sys.stderr.write(
            "kbisect: this is Python %s, and 3.11 or newer is needed: install one, for example python3.11,"
            " and run: python3.11 -m pytest_kbisect %s\n" % (version, " ".join(arguments))
        )
        return _USAGE
    from pytest_kbisect.checkout import main as start

    return start(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
