. "$SLIPWAY_LIB"
log_info "the word is $SLIPWAY_VAR_WORD, the passphrase is $SLIPWAY_VAR_PASSPHRASE"
log_warn "this goes to the other stream"
save_credential counting made-up "$(generate_password 24)"
