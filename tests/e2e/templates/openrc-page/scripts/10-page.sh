. "$SLIPWAY_LIB"
save_credential page admin-password "$(generate_password 24)"
rc-update add page default
rc-service page start
wait_for_port 8080 10
log_info "OpenRC serves the page on $SLIPWAY_OS with $SLIPWAY_PKG"
