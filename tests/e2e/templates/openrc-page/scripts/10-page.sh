. "$SLIPWAY_LIB"
save_credential page admin-password "$(generate_password 24)"
rc-update add page default
rc-update -u # a list of dependencies that is as old as the service may lack it at the next boot
rc-service page start
wait_for_port 8080 10
log_info "OpenRC serves the page on $SLIPWAY_OS with $SLIPWAY_PKG"
