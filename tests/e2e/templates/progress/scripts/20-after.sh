. "$SLIPWAY_LIB"
log_info "the next has run"
