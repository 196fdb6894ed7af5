# Make the cluster once: a primary with its user and database, or a standby as a copy of one
set -eu
umask 077
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ "$ROLE" = primary ]; then
    initdb -D "$PGDATA" -U postgres -E UTF8 --locale=C.UTF-8 -A scram-sha-256 --pwfile=/dev/stdin <<END
$POSTGRES_PASSWORD
END
    cat >> "$PGDATA/pg_hba.conf" <<END
host all understudy samenet scram-sha-256
host replication replicator samenet scram-sha-256
END
    sed -i '1i local all postgres peer' "$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses= -k /tmp" start
    psql -q -h /tmp -U postgres -v ON_ERROR_STOP=1 -v own="$POSTGRES_PASSWORD" -v copy="$REPLICATION_PASSWORD" <<END
CREATE ROLE understudy LOGIN PASSWORD :'own';
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'copy';
CREATE DATABASE understudy OWNER understudy;
SELECT pg_create_physical_replication_slot('standby');
END
    pg_ctl -D "$PGDATA" -w stop
  else
    export PGPASSWORD="$REPLICATION_PASSWORD"
    until pg_basebackup -D "$PGDATA" -h "$PRIMARY" -U replicator -S standby -X stream -R \
        -d "application_name=standby"; do
      rm -rf "$PGDATA"
      sleep 2
    done
  fi
fi
exec postgres -D "$PGDATA" -k /tmp -c listen_addresses='*' -c wal_level=replica -c hot_standby=on \
  -c max_slot_wal_keep_size=2GB -c synchronous_commit="$SYNCHRONOUS_COMMIT" \
  -c synchronous_standby_names="$SYNCHRONOUS_STANDBY_NAMES"
