. "$SLIPWAY_LIB"
for folder in /etc/postgresql/*/main; do
    if [ ! -d "$folder" ]; then
        log_error "there is no database cluster in /etc/postgresql"
        exit 1
    fi
    mkdir -p "$folder/conf.d"
    printf "listen_addresses = '*'\npassword_encryption = 'scram-sha-256'\n" >"$folder/conf.d/slipway.conf"
    grep -q '# slipway' "$folder/pg_hba.conf" ||
        printf 'host all all samenet scram-sha-256 # slipway\n' >>"$folder/pg_hba.conf"
done
systemctl enable postgresql
systemctl restart postgresql
wait_for_port 5432
log_info "PostgreSQL listens on port 5432"
