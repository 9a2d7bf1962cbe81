. "$SLIPWAY_LIB"
if [ -f /etc/slipway/credentials/nginx ]; then
    log_info "the password exists already"
    exit 0
fi
save_credential nginx status-password "$(generate_password 24)"
log_info "saved the password of the status page"
