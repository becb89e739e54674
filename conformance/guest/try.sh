#!/bin/bash
# Compiles the named programs (all when none is named) and runs each twice natively as an ordinary user: for writing them.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d /tmp/carrack-try.XXXXXX); chmod 755 "$out"
names=("$@"); [ $# -gt 0 ] || names=($(cd "$here" && ls *.c | sed 's/\.c$//' | grep -v '^driver$'))
gcc -O1 -static -pthread -o "$out/driver" "$here/driver.c" || exit 1
specs=() rspecs=()
for n in "${names[@]}"; do
  st=-static; grep -q '^// dynamic' "$here/$n.c" && st=
  gcc -O1 -Wall -Wno-unused-result -Wno-nonnull -Wno-stringop-overflow -Wno-array-bounds -Wno-stringop-overread $st -pthread -o "$out/$n" "$here/$n.c" -lrt || { echo "FAILED TO COMPILE $n"; continue; }
  t=$(sed -n 's,^// timeout ,,p' "$here/$n.c"); 
  if grep -q '^// root' "$here/$n.c"; then rspecs+=("$n:${t:-20}"); else specs+=("$n:${t:-20}"); fi
done
user() { setpriv --reuid 12345 --regid 12345 --clear-groups --no-new-privs --bounding-set -all --inh-caps -all "$@"; }
root() { setpriv --clear-groups --inh-caps -all --bounding-set -all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write "$@"; }
for i in 1 2; do
  mkdir "$out/u$i" "$out/r$i"; chown 12345:12345 "$out/u$i"
  : > "$out/log$i"
  [ ${#specs[@]} -gt 0 ] && user "$out/driver" "$out/u$i" "$out" "${specs[@]}" >> "$out/log$i"
  [ ${#rspecs[@]} -gt 0 ] && root "$out/driver" "$out/r$i" "$out" "${rspecs[@]}" >> "$out/log$i"
done
[ ${#names[@]} -gt 3 ] || cat "$out/log1"
grep -a '^@@' "$out/log1" | grep -v 'exit:0'
echo "results: $out/log1; differences between two runs:"; diff "$out/log1" "$out/log2" && echo none
