. "$SLIPWAY_LIB"
i=1
while [ "$i" -le 2000 ]; do
    echo "number $i"
    [ $((i % 100)) -ne 0 ] || sleep 0.2
    i=$((i + 1))
done
