"""A build that never ends: pip calls this before it installs the package."""

import time


def prepare_metadata_for_build_wheel(directory, settings=None):
    time.sleep(100000)


def build_wheel(directory, settings=None, metadata=None):
    time.sleep(100000)
