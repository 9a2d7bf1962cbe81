. "$SLIPWAY_LIB"
save_credential saving key "$(printf 'two  words\r\nline2=abc\n=== other')"
save_credential saving 'a.c' 'two  words'
