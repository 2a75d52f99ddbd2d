"""`python -m pytest_kbisect.commands` is `kbisect`."""

import sys

from pytest_kbisect.commands import main

sys.exit(main())
