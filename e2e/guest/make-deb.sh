#!/bin/sh
# Builds a package whose maintainer scripts do what real ones do: a system user, a conffile, a set-group-id directory.
set -eu
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/DEBIAN" "$work/usr/bin" "$work/etc/e2e-test"
printf '#!/bin/sh\necho tool runs\n' > "$work/usr/bin/e2e-tool"
printf 'setting = 1\n' > "$work/etc/e2e-test/conf"
chmod 755 "$work/usr/bin/e2e-tool"
cat > "$work/DEBIAN/control" <<E
Package: e2e-test
Version: 1.0
Architecture: all
Maintainer: Nobody <nobody@localhost>
Description: maintainer scripts for a test
E
printf '/etc/e2e-test/conf\n' > "$work/DEBIAN/conffiles"
cat > "$work/DEBIAN/postinst" <<'E'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    getent group e2e-user >/dev/null || groupadd --system e2e-user
    getent passwd e2e-user >/dev/null || useradd --system --gid e2e-user --home-dir /nonexistent --shell /usr/sbin/nologin e2e-user
    mkdir -p /var/lib/e2e-test
    echo configured by postinst > /var/lib/e2e-test/state
    chown -R e2e-user:e2e-user /var/lib/e2e-test
    chmod 2750 /var/lib/e2e-test
fi
E
cat > "$work/DEBIAN/postrm" <<'E'
#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -rf /var/lib/e2e-test
    if getent passwd e2e-user >/dev/null; then userdel e2e-user; fi
fi
E
chmod 755 "$work/DEBIAN/postinst" "$work/DEBIAN/postrm"
dpkg-deb --root-owner-group --build "$work" "$out/e2e-test_1.0_all.deb" >/dev/null
