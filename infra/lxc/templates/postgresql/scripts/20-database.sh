. "$SLIPWAY_LIB"
name=$SLIPWAY_VAR_DATABASE
if [ -f /etc/slipway/credentials/postgresql ]; then
    log_info "the database exists already"
    exit 0
fi
password=$(generate_password 24)
# The password reaches psql on its input, never as an argument.
as_user postgres psql -v ON_ERROR_STOP=1 -q <<SQL
CREATE ROLE "$name" LOGIN PASSWORD '$password';
CREATE DATABASE "$name" OWNER "$name";
SQL
save_credential postgresql user "$name"
save_credential postgresql database "$name"
save_credential postgresql password "$password"
log_info "made the database $name and its owner"
