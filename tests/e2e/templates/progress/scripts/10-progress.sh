. "$SLIPWAY_LIB"
log_info "it begins"
percent=0
while [ "$percent" -lt 100 ]; do
    percent=$((percent + 5))
    printf '\rfetched %s %%' "$percent" >&2
    sleep 0.4
done
printf '\n' >&2
printf 'Shall it go on? '
sleep 5
log_info "yes"
printf 'and that is all'
