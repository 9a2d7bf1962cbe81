"""`python -m slipway.runtime.process.probe`: is this service ready?

For the health check of images.

Exit status 0 when `/readyz` of `SLIPWAY_HTTP_PORT` on this machine says so; otherwise 1, and what is missing.
One word per argument, because some engines lose the quotes of a longer command.
"""

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

_SECONDS = 4.0


def main() -> None:
    """Ask once and end the process."""
    port = os.environ.get("SLIPWAY_HTTP_PORT", "")
    if not port.isdecimal():
        sys.exit("SLIPWAY_HTTP_PORT is not set to a port")
    connection = HTTPConnection("127.0.0.1", int(port), timeout=_SECONDS)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        sys.exit(f"no answer from port {port}: {error}")
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        sys.exit(body)


if __name__ == "__main__":
    main()
