. "$SLIPWAY_LIB"
printf 'Built by Slipway from the template debian-base.\n' >/etc/motd
log_info "Debian ${SLIPWAY_OS_VERSION} is ready"
