#!/bin/sh
# SPDX-License-Identifier: MIT
# Common to the tools that are scripts, which source it: the command line.
#
# A tool sets $usage, $about and $options, and calls parse "$@". $options is a table: letter (or -), name, value (or -),
# what it does. The help text, the parser and its checks are all made from it. What was given is in opt_NAME, with _ for -.
# The value's name says what is accepted: N[:LOW-HIGH] a whole number, SECONDS a decimal, anything else any word.
# shellcheck disable=SC2154 # opt_* are set by eval

complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# Wrong use, or nothing to work with.
wrong() {
    complain "$@"
    exit 2
}

help() {
    printf 'usage: %s\n%s\n\n' "$usage" "$about"
    printf '%s\n' "$options" | awk '
        NF {
            sub(/:[0-9].*/, "", $3)
            head = sprintf("  %s --%s%s", $1 == "-" ? "   " : "-" $1 ",", $2, $3 == "-" ? "" : " " $3)
            text = $4
            for (i = 5; i <= NF; i++) text = text " " $i
            if (length(head) > 33) { print head; head = "" }
            printf "%-34s %s\n", head, text
        }'
    printf '\n%s\n' "$footer"
    exit 0
}

# The same for scripts/completions, as the tools that are programs have it.
option_table() {
    printf '%s\n' "$usage"
    printf '%s\n' "$options" | awk '
        NF {
            sub(/:[0-9].*/, "", $3)
            text = $4
            for (i = 5; i <= NF; i++) text = text " " $i
            printf "%s\t%s\t%s\t%s\n", $1, $2, $3, text
        }'
    exit 0
}

# look_up -LETTER|--NAME: sets name and takes, from the table.
look_up() {
    while read -r letter name takes _; do
        case $1 in "-$letter" | "--$name") return ;; esac
    done <<END
$options
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
        --option-table) option_table ;;
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
        eval "opt_$name=\$value"
    done
    test -z "${opt_help-}" || help
}

add_operand() {
    case $1 in '' | *[!0-9A-Za-z.:%/_-]*) wrong "not a host: '$1'" ;; esac
    operands="$operands${operands:+
}$1"
}

# choose_awk: sets $awk, the words that start awk. mawk would wait for a block of replies before it shows the first.
choose_awk() {
    awk=${AWK:-awk}
    case $($awk -W version 2>/dev/null </dev/null) in mawk*) awk="$awk -W interactive" ;; esac
}
