"""All attacks: importing this registers them, in the order of the table."""

from . import requests  # noqa: F401, I001
from . import tls  # noqa: F401
from . import frames  # noqa: F401
from . import states  # noqa: F401
from . import floods  # noqa: F401
from . import compression  # noqa: F401
