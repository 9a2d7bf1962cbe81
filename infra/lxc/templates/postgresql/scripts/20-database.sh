. "$SLIPWAY_LIB"
name=$SLIPWAY_VAR_DATABASE
saved=/etc/slipway/credentials/postgresql
# Saved before it is used: a script that is killed and run again finds the password it began with.
[ -f "$saved" ] && password=$(sed -n 's/^password=//p' "$saved") || password=
if [ -z "$password" ]; then
    password=$(generate_password 24)
    save_credential postgresql password "$password"
fi
save_credential postgresql user "$name"
save_credential postgresql database "$name"
# The password reaches psql on its input, never as an argument.
as_user postgres psql -v ON_ERROR_STOP=1 -q <<SQL
SELECT 'CREATE ROLE "$name" LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$name') \gexec
ALTER ROLE "$name" PASSWORD '$password';
SELECT 'CREATE DATABASE "$name" OWNER "$name"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$name') \gexec
SQL
log_info "made the database $name and its owner"
