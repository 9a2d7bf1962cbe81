"""`slipway doctor`: named checks of this machine's installation, and the archive that support asks for."""
