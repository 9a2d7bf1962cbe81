. "$SLIPWAY_LIB"
if [ -s /etc/nginx/status.passwd ]; then
    log_info "the password of /status exists already"
    exit 0
fi
password=$(generate_password 24)
save_credential nginx status-password "$password"
# The password reaches openssl on its input, never as an argument.
hash=$(printf '%s' "$password" | openssl passwd -apr1 -stdin)
umask 027
# In its place only when it is whole and readable by nginx: a script killed before that runs again.
rm -f /etc/nginx/status.passwd.new
printf 'status:%s\n' "$hash" >/etc/nginx/status.passwd.new
chgrp www-data /etc/nginx/status.passwd.new
mv /etc/nginx/status.passwd.new /etc/nginx/status.passwd
log_info "made the password of /status"
