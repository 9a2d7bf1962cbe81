. "$SLIPWAY_LIB"
log_info "the first has run"
