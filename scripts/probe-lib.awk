# SPDX-License-Identifier: MIT
# Common to the awk programs of the probe tools: it is read before them, by converse() of probe-lib.sh.
#
# A program calls ask() with requests, and defines
#     begin()          asks the first questions
#     heard()          looks at a reply: $1 its token, $2 its kind; read_reply() fills reply[NAME]
#     tick()           is called as often as converse() was told
#     finish()         prints the sums; its value is the exit status
# and calls done() when nothing is left to wait for. Tokens of its own are positive.

BEGIN {
    requests = ENVIRON["requests"]
    arguments = ENVIRON["arguments"]
    json = ENVIRON["opt_json"]
    room = PIPE_BUF = 4096 # Linux: what is written at once in a pipe without being torn
    AHEAD = 30000 # bytes that may be written before the daemon is known to have read; a pipe holds 65536
    feature("version") # a daemon that is missing is noticed before anything else
    need(ENVIRON["protocol"])
    begin()
    hear_kept()
    flush_requests()
}

{
    hear()
    hear_kept()
    flush_requests()
}

END {
    if (failed) exit failed
    status = finish()
    exit finished ? status : status + 4 # the shell knows whether it was told to stop
}

function hear() {
    if ($1 > 0) heard()
    else if ($1 == -1) tick()
    else if ($2 == "unknown-command") done() # the shell's way to say: stop
}

# ---- the conversation

# The ticker writes to the same pipe, so no line may be torn: the buffer is emptied before it would overflow.
function ask(request) {
    room -= length(request) + 1
    if (room < 0) {
        fflush(requests)
        room = PIPE_BUF - length(request) - 1
    }
    print request >requests
    ahead += length(request) + 1
    if (ahead > AHEAD) await("-3 check-support feature here-already")
}

function flush_requests() {
    if (room < PIPE_BUF) fflush(requests)
    room = PIPE_BUF
}

# Asks, and reads until the answer to that, which is its value: then the daemon has read all before it, too. Without
# this, who writes much could wait for the daemon to read, and the daemon for him. Other replies are kept for
# hear_kept().
function await(request,    line) {
    flush_requests()
    print request >requests
    fflush(requests)
    ahead = 0
    while ((getline line) > 0) {
        answering = 1
        if (line + 0 == request + 0) return line
        kept[++kept_last] = line
    }
    # Whoever went on asking would wait forever in a pipe that nobody reads.
    if (!answering) {
        complain("no daemon: " (ENVIRON["MTR_PACKET"] == "" ? "mtr-packet" : ENVIRON["MTR_PACKET"]) " does not answer")
        fail()
    }
    exit
}

function hear_kept() {
    while (kept_first < kept_last) {
        $0 = kept[++kept_first]
        delete kept[kept_first]
        hear()
    }
}

# What check-support says.
function feature(what,    word) {
    split(await("-2 check-support feature " what), word, " ")
    return word[4]
}

function supported(what) { return feature(what) == "ok" }

# It may be the daemon of others, or lack a privilege.
function need(what) {
    if (supported(what)) return
    complain("this daemon does not support " what " here; see check-support in mtr-packet(8)")
    fail()
}

# Ends with status 2, and no summary.
function fail() {
    failed = 2
    exit 2
}

# Ends with the summary.
function done() {
    finished = 1
    exit
}

function read_reply(    i) {
    split("", reply)
    for (i = 3; i < NF; i += 2) reply[$i] = $(i + 1)
    reply["from"] = "ip-4" in reply ? reply["ip-4"] : reply["ip-6"]
    if ("round-trip-time" in reply) reply["ms"] = reply["round-trip-time"] / 1000
}

# "ip-4 ADDRESS" or "ip-6 ADDRESS"
function target(address) { return (address ~ /:/ ? "ip-6 " : "ip-4 ") address }

# Monotonic seconds, to a hundredth, in any awk and without a process. Only differences mean anything.
function now(    line, word) {
    getline line <"/proc/uptime"
    close("/proc/uptime")
    split(line, word, " ")
    return word[1]
}

# ---- names

# The first address of a host in $family ("" any), or "" after a complaint.
function resolve(host, family,    found) { return resolve_all(host, family, found) ? found[1] : "" }

# All its addresses, found[1] to found[N]: N, or 0 after a complaint.
function resolve_all(host, family, found,    line, word, command, seen, n) {
    split("", found)
    if (host ~ /^[0-9.]+$/ || host ~ /:/) {
        if (!is_address(host)) {
            complain(host ": not an address")
            return 0
        }
        if ((host ~ /:/ ? 6 : 4) == family || family == "") {
            found[1] = host
            return 1
        }
        complain(host ": not an IPv" family " address")
        return 0
    }
    if (host !~ /^[0-9A-Za-z._-]+$/ || host ~ /^-/) {
        complain(host ": not a host name")
        return 0
    }
    command = "getent ahosts" (family == "" ? "" : "v" family) " " host
    while ((command | getline line) > 0) {
        split(line, word, " ")
        # An IPv4 address in the clothes of the other family is none.
        if (word[1] !~ /^::ffff:/ && !(word[1] in seen) && is_address(word[1])) found[++n] = word[1]
        seen[word[1]]
    }
    close(command)
    if (!n) complain(host ": no " (family == "" ? "" : "IPv" family " ") "address found")
    return n + 0
}

# Nearly: of an IPv6 address only that it is harmless on a terminal and in a request. The daemon tells the rest.
function is_address(text,    byte, i) {
    if (text ~ /:/) return text ~ /^[0-9A-Fa-f:.]+(%[0-9A-Za-z._-]+)?$/
    if (split(text, byte, ".") != 4) return 0
    for (i = 1; i <= 4; i++) if (byte[i] !~ /^[0-9]+$/ || byte[i] > 255) return 0
    return 1
}

# Looks up the names of all these addresses (keys of the array) at once: a name server that is slow is slow once.
function look_up_names(addresses,    address, command, line, word) {
    if (ENVIRON["opt_numeric"]) return
    for (address in addresses)
        if (!(address in name_of) && address ~ /^[0-9A-Fa-f.:]+$/) {
            name_of[address] = ""
            command = command "getent hosts " address " | sed 's/^/" address " /' & "
        }
    if (command == "") return
    command = command "wait"
    while ((command | getline line) > 0) {
        split(line, word, " ")
        if (word[3] ~ /^[0-9A-Za-z._-]+$/) name_of[word[1]] = word[3] # what a name server says goes to a terminal
    }
    close(command)
}

# "name (address)", or the address alone.
function title(address,    one) {
    one[address]
    look_up_names(one)
    return name_of[address] == "" ? address : name_of[address] " (" address ")"
}

# ---- words

function complain(text) {
    if (hush) return
    print ENVIRON["tool"] ": " printable(text) | "cat >&2"
    close("cat >&2")
}

# What others wrote may hold control characters.
function printable(text) {
    gsub(/[^ -~]/, "?", text)
    return text
}

# A reply's kind and facts in words, "" for an answer by the target.
function error_words() {
    if ($2 == "ttl-expired") return "time to live exceeded"
    if ($2 == "no-reply") return "no reply"
    if ($2 == "no-route-host" || $2 == "no-route") return "host unreachable"
    if ($2 == "no-route-network") return "network unreachable"
    if ($2 == "packet-too-big") return "packet too big, mtu " reply["mtu"]
    if ($2 == "reply") return ""
    return words($2) ("reason" in reply ? ": " words(reply["reason"]) : "") \
        ("argument" in reply ? " " reply["argument"] : "") ("errno" in reply ? ": errno " reply["errno"] : "")
}

function words(text) {
    gsub(/-/, " ", text)
    return text
}

# "label 16 (class 0, ttl 1), ...": `mpls` as people read it.
function mpls_words(stack,    n, part, i, text) {
    n = split(stack, part, ",")
    for (i = 1; i + 3 <= n; i += 4)
        text = text (i > 1 ? ", " : "") part[i] " class " part[i + 1] " ttl " part[i + 3]
    return text
}

# ---- JSON: print_json(string("host", host) number("ms", 3)); what is empty is left out

function string(key, value) {
    if (value == "") return ""
    gsub(/[\\"]/, "\\\\&", value)
    return ", \"" key "\": \"" value "\""
}

function number(key, value) { return value == "" ? "" : ", \"" key "\": " value }

function mpls_json(stack,    n, part, i, list) {
    n = split(stack, part, ",")
    for (i = 1; i + 3 <= n; i += 4)
        list = list ", {\"label\": " part[i] number("class", part[i + 1]) number("bottom", part[i + 2]) \
            number("ttl", part[i + 3]) "}"
    return list == "" ? "" : ", \"mpls\": [" substr(list, 3) "]"
}

function print_json(members) {
    print "{" substr(members, 3) "}"
    fflush()
}

# ---- statistics of round trips: add(key, ms), then the functions of the key

function add(key, ms) {
    if (!(key in count)) {
        count[key] = sum[key] = squares[key] = steps[key] = 0
        least[key] = most[key] = ms
    } else
        steps[key] += ms > last_of[key] ? ms - last_of[key] : last_of[key] - ms
    count[key]++
    sum[key] += ms
    squares[key] += ms * ms
    if (ms < least[key]) least[key] = ms
    if (ms > most[key]) most[key] = ms
    last_of[key] = ms
}

function mean(key) { return count[key] ? sum[key] / count[key] : 0 }

function deviation(key,    variance) {
    if (!count[key]) return 0
    variance = squares[key] / count[key] - mean(key) * mean(key)
    return variance > 0 ? root(variance) : 0
}

# By Newton: Debian's busybox awk has neither sqrt() nor ^.
function root(x,    r, i) {
    r = x > 1 ? x : 1
    for (i = 0; i < 60; i++) r = (r + x / r) / 2
    return r
}

# As icmplib has it: the mean difference from one round trip to the next.
function jitter(key) { return count[key] > 1 ? steps[key] / (count[key] - 1) : 0 }
