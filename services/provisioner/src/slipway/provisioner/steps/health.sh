# Wait until a template's health check holds.
#
# usage: KIND SECONDS PORT PATH RUNS     KIND is http, tcp or command; a command comes on standard input
#
# Exit code 0: it holds; 3: something listens on the port, but no program here can ask it over HTTP; 1: it does
# not hold, and what the last try said is printed. When it holds, the traces of a job's work (RUNS.*) are removed.
#
# What listens is asked of the kernel, and HTTP of any of four programs: a guest may lack each of them.
set -u
kind=$1 seconds=$2 port=$3 path=$4 runs=$5
text=$(cat)
ends=$(($(date +%s) + seconds))
newline='
'
tls='if it takes HTTPS only, check it with kind: tcp'

has() { command -v "$1" >/dev/null 2>&1; }

# within SECONDS COMMAND...: in a session of its own, so that all that it began can be ended with it
within() {
    limit=$1
    shift
    {
        setsid "$@" <&4 3>&- 4<&- &
        child=$!
    } 4<&0
    # shellcheck disable=SC2016
    setsid sh -c 'sleep "$1"; kill -KILL "-$2"' sh "$limit" "$child" >/dev/null 2>&1 3>&- &
    watch=$!
    wait "$child" 2>/dev/null # a shell says "Killed" here
    code=$?
    kill -KILL "$watch" "-$watch" 2>/dev/null
    return "$code"
}

# Up to eight addresses where the port can be asked. The kernel writes a socket's own address in words that are
# as the processor has them, little-endian.
addresses() {
    hex=$(printf '%04X' "$port")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        sed -n "s/^ *[0-9]*: \([0-9A-F]*\):$hex [0-9A-F]*:[0-9A-F]* 0A .*/\1/p" | sort -u |
        sed -e 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/g' -e 's/^0\{20\}FFFF//' \
            -e 's/^\(..\)\(..\)\(..\)\(..\)$/0x\1 0x\2 0x\3 0x\4/' -e '/^0x/!s/..../&:/g' -e 's/:$//' |
        while read -r words; do
            case $words in
                '0x00 0x00 0x00 0x00') echo 127.0.0.1 ;;
                0000:0000:0000:0000:0000:0000:0000:0000) printf '%s\n' 127.0.0.1 ::1 ;;
                # shellcheck disable=SC2086
                0x*) printf '%d.%d.%d.%d\n' $words ;;
                0000:0000:0000:0000:0000:0000:0000:0001) echo ::1 ;;
                *) echo "$words" ;;
            esac
        done | head -n 8
}

request() { printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "$1:$port"; }

# ask ADDRESS HOST: prints the head of the answer, or what is wrong. Input of nc stays open until the answer has
# come: at its end nc closes its sending side, and many servers then drop the request.
ask() {
    if has curl; then
        # shellcheck disable=SC2016
        within 5 sh -c 'curl -qgsS --noproxy "*" -D - -o /dev/null "$1" 2>&1 | { head -n 1; kill -KILL 0; }' \
            sh "http://$2:$port$path"
    elif has bash; then
        # shellcheck disable=SC2016
        request "$2" | within 5 bash -c 'exec 3<>"/dev/tcp/$1/$2" && cat >&3 && head -n 1 <&3' bash "$1" "$port"
    elif has nc; then
        # shellcheck disable=SC2016
        request "$2" | within 5 sh -c '{ cat; sleep 5; } | nc "$1" "$2" 2>&1 | { head -n 1; kill -KILL 0; }' \
            sh "$1" "$port"
    else
        within 5 wget -S -Y off -O /dev/null "http://$2:$port$path"
    fi
}

try_http() {
    found=$(addresses)
    if [ -z "$found" ]; then
        echo "nothing listens on port $port"
        return 1
    fi
    has curl || has bash || has nc || has wget || return 3
    for address in $found; do
        host=$address
        case $address in *:*) host="[$address]" ;; esac
        answer=$(ask "$address" "$host" 2>&1 | head -c 2000 | LC_ALL=C tr -cd '\n -~')
        answer=${answer:-no answer}
        status=$(printf '%s\n' "$answer" | sed -n 's/^ *HTTP\/[0-9.]* \([0-9][0-9][0-9]\).*/\1/p' | head -n 1)
        case $status in
            [23]??) return 0 ;;
            400) echo "$host:$port answers with HTTP status 400 ($tls)" ;;
            ?*) echo "$host:$port answers with HTTP status $status" ;;
            *) echo "$host:$port does not answer over HTTP: ${answer##*"$newline"} ($tls)" ;;
        esac
    done
    return 1
}

try_tcp() {
    [ -n "$(addresses)" ] && return 0
    echo "nothing listens on port $port"
    return 1
}

try_command() {
    rest=$((ends - $(date +%s)))
    [ "$rest" -gt 0 ] || rest=1
    within "$rest" sh -s
    code=$?
    [ "$code" -ne 137 ] || echo "it did not end within $seconds s"
    return "$code"
}

while :; do
    # The exit code comes first, past the end of what was said.
    said=$({
        {
            printf '%s\n' "$text" | "try_$kind"
            echo $? >&3
        } 2>&1 | tail -c 400
    } 3>&1)
    code=${said%%"$newline"*}
    case $kind:$code in *:0 | http:3) break ;; esac
    if [ "$(date +%s)" -ge "$ends" ]; then
        printf '%s\n' "${said#"$code"}"
        exit 1
    fi
    sleep 0.5
done
rm -rf "$runs".*
exit "$code"
