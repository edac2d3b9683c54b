#!/bin/sh
# SPDX-License-Identifier: MIT
# GNU parallel --tag and --line-buffer run the last line of one job into the first of the next, tag and all.
#
# --tag writes a job's arguments before each line of its output, so that one knows whose line it is. Output need not
# end in a newline: `printf`, many JSON writers and `curl` leave it out. One expects a tool that works line by line, and
# adds something to each, to end the last line of a job before it begins that of another. GNU parallel 20221122 does not, in either mode: the tag and the output of the next job follow in the same line,
# and a reader that splits at newlines and tabs takes both for one job's. With three jobs that print one word each there
# is one line with all of it. --results to a .csv file keeps them apart.
#
# Installs GNU parallel from Debian in a temporary folder. Exit status 1 if it does anything else now.
set -eu

PARALLEL=parallel=20221122+ds-2 # Debian 12

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME="$folder" # it keeps files of its own there
apt-get -q update >apt.log 2>&1 || true # lists that are there may do
apt-get -q download "$PARALLEL" >>apt.log 2>&1 || { cat apt.log; exit 1; }
dpkg-deb -x ./*.deb root
parallel=$folder/root/usr/bin/parallel
perl "$parallel" --version | head -n 1

status=0
for mode in --group --line-buffer; do
    perl "$parallel" --will-cite --keep-order "$mode" --tag printf '%s' ::: one two three >said 2>/dev/null
    printf '%s --tag, three jobs: ' "$mode"
    od -An -c said
    printf 'one\tonetwo\ttwothree\tthree' | cmp -s - said || status=1
done
perl "$parallel" --will-cite --keep-order --results said.csv printf '%s' ::: one two >/dev/null 2>&1
echo "--results to CSV: $(tail -n +2 said.csv | wc -l) rows of two jobs"
test "$(tail -n +2 said.csv | wc -l)" = 2 || status=1
exit $status
