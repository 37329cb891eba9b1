"""A network of a test's own: addresses of both families, none of which is anybody's outside."""
import ctypes
import functools
import os
import subprocess
import threading

import pytest

CLONE_NEWNET = 0x40000000


def enter(*commands):
    """This thread, and what it starts from now on."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    for command in ("link set lo up", *commands):
        subprocess.run(["ip", *command.split()], check=True)
    return True


def apart(*commands):
    """The test runs there; `ip` is given these."""
    def decorate(test):
        @functools.wraps(test)
        def run(*args, **named):
            fault = []

            def inside():
                try:
                    if enter(*commands):
                        test(*args, **named)
                    else:
                        fault.append(pytest.skip.Exception("needs a network namespace"))
                except BaseException as e:  # noqa: BLE001 - pytest's own are none of Exception
                    fault.append(e)

            if os.geteuid() != 0:
                pytest.skip("needs a network namespace")
            thread = threading.Thread(target=inside)
            thread.start()
            thread.join()
            if fault:
                raise fault[0]
        return pytest.mark.only_sqlite("MongoDB is in the network of all")(run)
    return decorate
