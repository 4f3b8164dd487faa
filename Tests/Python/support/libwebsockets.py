"""The libwebsockets that the built program loads."""

import ctypes
import functools
import re
import subprocess

from support.confab_process import CONFAB


@functools.cache
def version():
    """Returns the version, such as (4, 1, 6)."""
    loaded = subprocess.run(["ldd", CONFAB], capture_output=True, text=True, check=True).stdout
    library = ctypes.CDLL(re.search(r"libwebsockets\S* => (\S+)", loaded)[1])
    library.lws_get_library_version.restype = ctypes.c_char_p
    return tuple(int(part) for part in re.findall(r"\d+", library.lws_get_library_version().decode())[:3])
