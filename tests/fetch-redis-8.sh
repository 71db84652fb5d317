#!/bin/sh
# Redis 8.4 or later, which moves slots by itself: redis-server-8 and redis-cli-8, for the tests of
# moving slots. Debian has it in its experimental suite only, and where that cannot be had those
# tests leave it out. The packages and all libraries that they need are unpacked into a folder of the
# project: nothing is installed, and root is not needed.
# Usage: fetch-redis-8.sh FOLDER
set -eu
mkdir -p "$1/bin"
target=$(cd "$1" && pwd)
if command -v redis-server-8 >/dev/null && command -v redis-cli-8 >/dev/null; then
    exit 0
fi
left_out() {
    echo "Redis 8 is left out of the tests: $1" >&2
    exit 0
}
command -v dpkg-deb >/dev/null || left_out "there are no Debian packages here."
# The mirror that the machine uses has all suites.
# shellcheck disable=SC2016 # apt fills it in
site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1)
[ -n "$site" ] || left_out "the machine uses no mirror of Debian."

work="$target/redis-8"
mkdir -p "$work/lists/partial" "$work/archives/partial"
printf 'deb %s %s main\n' "$site" sid "$site" experimental >"$work/sources.list"
: >"$work/status" # nothing counts as installed, so that all it needs is fetched
fetch() {
    apt-get -qq -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status" \
        -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives" -o Debug::NoLocking=1 \
        -o APT::Sandbox::User=root "$@"
}
echo "Unpacking Redis 8 into $work ..."
fetch update || left_out "Debian's experimental suite cannot be had."
fetch install --yes --no-install-recommends --download-only \
    redis-server/experimental redis-tools/experimental ||
    left_out "Debian's experimental suite has no packages of it for this machine."
for package in "$work"/archives/*.deb; do
    dpkg-deb --extract "$package" "$work/root"
done
rm -rf "$work/lists" "$work/archives" "$work"/*.bin

loader=$(find "$work/root/usr" -name 'ld-linux-*' ! -type d | head -n 1)
for program in redis-server redis-cli; do
    cat >"$target/bin/$program-8" <<WRAPPER
#!/bin/sh
exec '$loader' --argv0 $program --library-path '${loader%/*}' '$work/root/usr/bin/$program' "\$@"
WRAPPER
    chmod +x "$target/bin/$program-8"
done
if ! "$target/bin/redis-server-8" --version || ! "$target/bin/redis-cli-8" --version; then
    rm "$target/bin/redis-server-8" "$target/bin/redis-cli-8"
    left_out "its packages do not run here."
fi
