#!/bin/sh
# SPDX-License-Identifier: MIT
# A dpkg file trigger on the name of a diverted file does not fire when the diverted package is upgraded.
#
# A package that puts its own /opt/tool in the place of another's diverts that one's file to /opt/tool.owner. Whenever
# the other package is upgraded it may have to put something right (its maintainer scripts know nothing of the
# diversion, and act on /opt/tool). A file trigger is made for that: "interest /opt/tool" is activated by a package
# that has that file. The upgraded package has, by its own list of files and by `dpkg -L`; so one expects the trigger to
# fire. With dpkg 1.21 it does not: names are looked at after diversions, so that /opt/tool.owner, which is in no
# package's archive, is the name that fires.
#
# Builds three small packages, and installs them by a dpkg of Debian in a database of its own, both in a temporary
# folder. Exit status 1 if it does anything else now.
set -eu

DPKG=dpkg=1.21.23 # Debian 12

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q update >apt.log 2>&1 || true # lists that are there may do
apt-get -q download "$DPKG" >>apt.log 2>&1 || { cat apt.log; exit 1; }
dpkg-deb -x ./dpkg_*.deb tools
PATH=$folder/tools/usr/bin:$PATH
dpkg --version | head -n 1

# package NAME VERSION: builds NAME-VERSION/ into a package; what is in it already goes along.
package() {
    mkdir -p "$1-$2/DEBIAN"
    printf '%s\n' "Package: $1" "Version: $2" 'Architecture: all' 'Maintainer: Nobody <nobody@example.org>' \
        "Description: $1" >"$1-$2/DEBIAN/control"
    chmod -R u=rwX,go=rX "$1-$2"
    chmod -f 755 "$1-$2"/DEBIAN/p* || true
    dpkg-deb --root-owner-group -b "$1-$2" "$1-$2.deb" >/dev/null
}

for version in 1 2; do
    mkdir -p "owner-$version/opt"
    echo "of the owner, version $version" >"owner-$version/opt/tool"
    echo "more of it" >"owner-$version/opt/more"
    package owner "$version"
done
for name in diverter other; do
    mkdir -p "$name-1/DEBIAN"
    # shellcheck disable=SC2016 # the script's own arguments
    printf '#!/bin/sh\ntest "$1" != triggered || echo "%s is told of: $2"\n' "$name" >"$name-1/DEBIAN/postinst"
done
mkdir -p diverter-1/opt
echo "of the diverter" >diverter-1/opt/tool
cat >diverter-1/DEBIAN/preinst <<'SCRIPT'
#!/bin/sh
dpkg-divert --package diverter --rename --divert /opt/tool.owner --add /opt/tool
SCRIPT
echo 'interest-noawait /opt/tool' >diverter-1/DEBIAN/triggers
echo 'interest-noawait /opt/tool.owner' >other-1/DEBIAN/triggers
package diverter 1
package other 1

mkdir -p root/var/lib/dpkg/info root/var/lib/dpkg/updates root/var/lib/dpkg/triggers root/var/log
touch root/var/lib/dpkg/status root/var/lib/dpkg/available
for step in owner-1 diverter-1 other-1 owner-2; do
    echo "dpkg -i $step.deb"
    dpkg --root="$folder/root" --force-script-chrootless --force-not-root -i "$step.deb" >said 2>&1 || { cat said; exit 1; }
    grep 'is told of' said || true
done
echo "/opt/tool: $(cat root/opt/tool); /opt/tool.owner: $(cat root/opt/tool.owner)"
dpkg --root="$folder/root" -L owner | grep '^/opt/tool$'
test "$(cat root/opt/tool.owner)" = 'of the owner, version 2'
grep -q '^other is told of: /opt/tool.owner$' said
! grep -q '^diverter is told of' said
