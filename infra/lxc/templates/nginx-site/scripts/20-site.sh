. "$SLIPWAY_LIB"
rm -f /var/www/html/index.nginx-debian.html
systemctl enable nginx
systemctl restart nginx
wait_for_port 80
log_info "nginx serves the page"
