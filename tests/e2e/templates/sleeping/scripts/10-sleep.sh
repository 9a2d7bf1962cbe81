echo "it sleeps now"
sleep "$SLIPWAY_VAR_SECONDS"
