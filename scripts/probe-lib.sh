#!/bin/sh
# SPDX-License-Identifier: MIT
# Common to the probe tools, which source it: the command line, and the conversation with the daemon.
#
# A tool sets $lib (where this file is), $usage, $about and $options, and calls: parse "$@"; probe_arguments; converse.
# $options is a table, as $common_options below: letter (or -), name, value (or -), what it does. The help text, the
# parser and its checks are all made from it. What was given is in opt_NAME, exported for awk, with _ for -.
# The value's name says what is accepted: N[:LOW-HIGH] a whole number, SECONDS a decimal, anything else any word.
# shellcheck disable=SC2154 # opt_* are set by eval

common_options='
4 ipv4 - IPv4 only
6 ipv6 - IPv6 only
p protocol PROTOCOL[:PORT] icmp (the default), udp, tcp or sctp
I source ADDRESS|INTERFACE probe from this address, or by this interface
s size N:1-65535 bytes of the whole IP packet (icmp and udp)
Q tos N:0-255 IPv4 type of service, IPv6 traffic class
t ttl N:1-255 time to live, hop limit
W timeout SECONDS how long an answer may take
n numeric - addresses only, no names
- json - for programs: one JSON object a line
h help - print this and exit
'

complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# Wrong use, or nothing to work with.
wrong() {
    complain "$@"
    exit 2
}

help() {
    printf 'usage: %s\n%s\n\n' "$usage" "$about"
    printf '%s\n%s\n' "$options" "$common_options" | awk '
        NF {
            sub(/:[0-9].*/, "", $3)
            head = sprintf("  %s --%s%s", $1 == "-" ? "   " : "-" $1 ",", $2, $3 == "-" ? "" : " " $3)
            text = $4
            for (i = 5; i <= NF; i++) text = text " " $i
            if (length(head) > 33) { print head; head = "" }
            printf "%-34s %s\n", head, text
        }'
    printf '\n%s\n' "${footer-The daemon is ${MTR_PACKET:-mtr-packet} (environment variable MTR_PACKET).}"
    exit 0
}

# look_up -LETTER|--NAME: sets name and takes, from the table.
look_up() {
    while read -r letter name takes _; do
        case $1 in "-$letter" | "--$name") return ;; esac
    done <<END
$options
$common_options
END
    wrong "no option $1; --help lists them"
}

# check NAME KIND VALUE: complains of a value that is not of its kind.
check() {
    case $2 in
    N*)
        case $3 in '' | 0?* | *[!0-9]* | ??????????*) wrong "--$1 takes a whole number, not $3" ;; esac
        range=${2#N}
        range=${range#:}
        test -z "$range" || { test "$3" -ge "${range%-*}" && test "$3" -le "${range#*-}"; } ||
            wrong "--$1 takes a number from ${range%-*} to ${range#*-}, not $3"
        ;;
    SECONDS)
        case $3 in '' | . | *[!0-9.]* | *.*.*) wrong "--$1 takes seconds, such as 0.5, not $3" ;; esac
        ;;
    esac
}

# parse "$@": options anywhere, bundled (-4n), with their value attached (-c3, --count=3) or not. What is no option goes
# to $operands, one a line.
parse() {
    operands=
    while test $# -gt 0; do
        word=$1
        shift
        case $word in
        --)
            for word; do add_operand "$word"; done
            break
            ;;
        --*=*)
            look_up "${word%%=*}"
            test "$takes" != - || wrong "--$name takes no value"
            set -- "${word#*=}" "$@"
            ;;
        --*) look_up "$word" ;;
        -?*)
            rest=${word#-?}
            look_up "${word%"$rest"}"
            if test -n "$rest"; then
                if test "$takes" = -; then set -- "-$rest" "$@"; else set -- "$rest" "$@"; fi
            fi
            ;;
        *)
            add_operand "$word"
            continue
            ;;
        esac
        value=1
        if test "$takes" != -; then
            test $# -gt 0 || wrong "--$name needs a value"
            value=$1
            shift
            check "$name" "$takes" "$value"
            case $takes$value in SECONDS.*) value=0$value ;; SECONDS*.) value=${value}0 ;; esac
        fi
        case $name in *-*) name=$(echo "$name" | tr - _) ;; esac
        eval "opt_$name=\$value; export opt_$name"
    done
    test -z "${opt_help-}" || help
}

add_operand() {
    case $1 in '' | *[!0-9A-Za-z.:%/_-]*) wrong "not a host: '$1'" ;; esac
    operands="$operands${operands:+
}$1"
}

# Sets $arguments, what the options say of every send-probe request, and $family: 4, 6 or nothing. A tool that gives
# defaults of its own sets opt_timeout and the like before parse().
probe_arguments() {
    protocol=${opt_protocol:-icmp}
    port=
    case $protocol in *:*) port=${protocol#*:} protocol=${protocol%%:*} ;; esac
    case $protocol in
    icmp) test -z "$port" || wrong 'icmp has no ports' ;;
    udp | tcp | sctp) test -z "$port" || check protocol N:1-65535 "$port" ;;
    *) wrong "--protocol takes icmp, udp, tcp or sctp, not $protocol" ;;
    esac
    family=${opt_ipv4:+4}
    test -z "${opt_ipv6-}" || family=${family:+4 and }6
    source=
    case ${opt_source-} in
    '') ;;
    *[!0-9A-Za-z.:%_-]*) wrong "not an address or interface: '$opt_source'" ;;
    *:*) source="local-ip-6 $opt_source" family=${family:-6} ;;
    *[!0-9.]*) source="local-device $opt_source" ;;
    *) source="local-ip-4 $opt_source" family=${family:-4} ;;
    esac
    case "$family $source" in
    '4 and 6'*) wrong 'either -4 or -6' ;;
    '4 local-ip-6'* | '6 local-ip-4'*) wrong "the source address is not of IPv$family" ;;
    esac
    arguments="protocol $protocol${port:+ port $port}${source:+ $source}${opt_size:+ size $opt_size}"
    arguments="$arguments${opt_tos:+ tos $opt_tos}${opt_ttl:+ ttl $opt_ttl}"
    export arguments family protocol port
}

# choose_awk: sets $awk, the words that start awk. mawk would wait for a block of replies before it shows the first.
choose_awk() {
    awk=${AWK:-awk}
    case $($awk -W version 2>/dev/null </dev/null) in mawk*) awk="$awk -W interactive" ;; esac
}

# Makes the directory $tmp, which goes with us, as the ticker does.
scratch() {
    test -z "${tmp-}" || return 0
    tmp='' ticker=''
    # Ctrl-C may come twice, and would end the rm.
    trap 'trap "" INT TERM HUP; test -z "$ticker" || kill "$ticker" 2>/dev/null; rm -rf "$tmp"' EXIT
    trap 'exit 1' INT TERM HUP # by a signal of which it has no trap dash ends without EXIT
    tmp=$(mktemp -d "${TMPDIR:-/tmp}/probe.XXXXXX") || exit 2
}

# converse [TICK]: runs the awk program on standard input, behind probe-lib.awk, between the daemon and the user: what
# it writes with ask() goes to the daemon, whose replies are its input. With TICK, it is woken every so many seconds.
# Its exit status, 2 if there is no daemon, is ours. Ctrl-C ends the conversation, not awk, which has a summary to
# print.
converse() {
    choose_awk
    scratch
    cat >"$tmp/program"
    requests=$tmp/requests tool=${0##*/}
    export requests tool operands
    mkfifo "$requests" "$tmp/replies" || exit 2
    exec 3<>"$requests" # held open at both ends, so that nobody waits for a partner
    # Without a trap, which a child has for a moment: the signal that ends it could get lost there.
    if test -n "${1-}"; then
        trap - TERM
        {
            # By exec: of a redirected function the shell would keep the old files, and so the pipe's other end, open.
            exec 3>&- >"$requests" 2>/dev/null
            tick "$1"
        } &
        ticker=$!
    fi
    interrupted=
    trap 'stopped=1 interrupted=1; echo 0 stop >&3' INT TERM HUP
    # Started in the background, both ignore the terminal's Ctrl-C as far as they let the shell choose.
    sh -c "${MTR_PACKET:-mtr-packet}" <"$requests" >"$tmp/replies" 3>&- &
    # shellcheck disable=SC2086 # $awk is words
    LC_ALL=C $awk -f "$lib/probe-lib.awk" -f "$tmp/program" <"$tmp/replies" 3>&- &
    reader=$!
    # A signal interrupts the wait, or comes just behind its end, when there is no more to wait for.
    while
        stopped=
        wait "$reader"
        result=$?
        test "$result" = 127 || status=$result
        test -n "$stopped"
    do :; done
    # The daemon ended, with what awk had: that is no failure if the Ctrl-C that we had was for the daemon too.
    case $status in
    [45])
        status=$((status - 4))
        test -n "$interrupted" || {
            complain "the daemon ended before its time: ${MTR_PACKET:-mtr-packet}"
            status=2
        }
        ;;
    esac
    exit "$status"
}

# The daemon answers this in its place among the replies, so awk needs to read no second file. Not every sleep knows
# fractions.
tick() {
    while sleep "$1" >/dev/null || sleep 1 >/dev/null; do echo '-1 check-support feature tick'; done
}
