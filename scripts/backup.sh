#!/usr/bin/env bash
# Exports every tenant, verified, into one archive, while the servers run:
#
#   BACKUP_DIR/backup_DATE.tar.gz         TENANT_DATE.db, TENANT_DATE.db.json, SHA256SUMS
#   BACKUP_DIR/backup_DATE.tar.gz.sha256
#
# The archive appears whole or not at all, and older ones are removed only after
# it was unpacked and checked. To bring a tenant back:
#
#   tar -xzf backup_DATE.tar.gz && sha256sum -c SHA256SUMS
#   bin/server import -tenant TENANT -replace TENANT_DATE.db
#
# This is a copy for elsewhere. What the store itself can restore (every commit
# of the last day) is kept by the scheduled backup: bin/server restore -h.
#
# Settings come from the environment:
#   BACKUP_DIR        where archives go                 /backup/eino-qa
#   BACKUP_KEEP_DAYS  age at which they are removed     7
#   EINO_QA_BIN       the server                        ../bin/server beside this script
#   DATE              the archive's name                now
#   CONFIG_PATH, STORAGE_URL …  as the server has them
set -euo pipefail
umask 077 # archives hold everything that customers asked

backup_dir=${BACKUP_DIR:-/backup/eino-qa}
keep_days=${BACKUP_KEEP_DAYS:-7}
date=${DATE:-$(date +%Y%m%d_%H%M%S)}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
server=${EINO_QA_BIN:-$here/../bin/server}

fail() {
  echo "backup: $*" >&2
  exit 1
}

case $keep_days in '' | *[!0-9]*) fail "BACKUP_KEEP_DAYS=$keep_days: use a number of days" ;; esac
case $date in '' | *[!A-Za-z0-9_-]*) fail "DATE=$date: use letters, digits, '_' and '-'" ;; esac
[ -x "$server" ] || fail "$server is not there: run make build-prod, or set EINO_QA_BIN"
mkdir -p "$backup_dir" || fail "$backup_dir cannot be made: set BACKUP_DIR (under systemd it must be in ReadWritePaths)"

name=backup_$date.tar.gz
[ ! -e "$backup_dir/$name" ] || fail "$backup_dir/$name is there already"

# Beside the archives: the last step is then a rename on one file system.
work=$(mktemp -d "$backup_dir/.backup_$date.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$work/tenants" "$work/check"

"$server" export -all "$work/tenants"

shopt -s nullglob
tenants=0
for db in "$work"/tenants/*.db; do
  "$server" verify "$db" # integrity, schema, and the rows that its manifest names
  tenant=$(basename "$db" .db)
  mv "$db" "$work/tenants/${tenant}_$date.db"
  mv "$db.json" "$work/tenants/${tenant}_$date.db.json"
  tenants=$((tenants + 1))
done
[ "$tenants" -gt 0 ] || fail 'there is no tenant to back up; older archives are kept'

(cd "$work/tenants" && sha256sum -- *.db *.json > SHA256SUMS)
tar -czf "$work/$name" -C "$work/tenants" .

# What can be unpacked and is what went in, is a backup.
tar -xzf "$work/$name" -C "$work/check"
(cd "$work/check" && sha256sum --quiet -c SHA256SUMS)
(cd "$work" && sha256sum "$name" > "$name.sha256")
sync "$work/$name" "$work/$name.sha256" 2> /dev/null || sync
mv "$work/$name.sha256" "$backup_dir/$name.sha256"
mv "$work/$name" "$backup_dir/$name"
echo "$backup_dir/$name: $tenants tenants, $(wc -c < "$backup_dir/$name") bytes"

# Only now: a backup that fails must not cost the ones that did not.
find "$backup_dir" -maxdepth 1 -type f \( -name 'backup_*.tar.gz' -o -name 'backup_*.tar.gz.sha256' \) -mtime "+$keep_days" -delete
