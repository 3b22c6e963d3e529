#!/bin/bash
# Makes the database in an empty /var/lib/mysql, as MARIADB_ROOT_PASSWORD, _DATABASE, _USER and _PASSWORD ask (or their
# MYSQL_ namesakes, or the files that they name with _FILE), runs /docker-entrypoint-initdb.d, and becomes the server.
set -eo pipefail
case ${1:-} in -*) set -- mariadbd "$@" ;; esac
case ${1:-} in mariadbd | mysqld) ;; *) exec "$@" ;; esac
if [ "$1" = mysqld ]; then shift; set -- mariadbd "$@"; fi

data=/var/lib/mysql
# setting NAME: the value of MARIADB_NAME or MYSQL_NAME.
setting() {
    local name file
    for name in "MARIADB_$1" "MYSQL_$1"; do
        file=${name}_FILE
        if [ -n "${!file:-}" ]; then cat "${!file}"; return; fi
        if [ -n "${!name:-}" ]; then printf %s "${!name}"; return; fi
    done
}
# quoted TEXT: as a string of SQL.
quoted() {
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\'\'}"
}

if [ "$(id -u)" = 0 ]; then
    find "$data" /run/mysqld ! -user mysql -exec chown mysql '{}' +
    exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
fi

if [ ! -d "$data/mysql" ]; then
    root=$(setting ROOT_PASSWORD)
    if [ -z "$root" ] && [ -z "$(setting ALLOW_EMPTY_ROOT_PASSWORD)$(setting ALLOW_EMPTY_PASSWORD)$(setting RANDOM_ROOT_PASSWORD)" ]; then
        echo '[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified' >&2
        echo '    You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD' >&2
        exit 1
    fi
    if [ -n "$(setting RANDOM_ROOT_PASSWORD)" ]; then
        root=$(head -c 24 /dev/urandom | base64)
        echo "[Note] [Entrypoint]: GENERATED ROOT PASSWORD: $root"
    fi
    mariadb-install-db --datadir="$data" --auth-root-authentication-method=normal --skip-test-db > /dev/null
    # Nobody outside sees the server before all scripts have run: what waits for its port, waits for them.
    mariadbd --skip-networking &
    server=$!
    until mariadb --user=root -e 'SELECT 1' > /dev/null 2>&1; do
        kill -0 "$server"
        sleep 0.1
    done
    database=$(setting DATABASE) user=$(setting USER) password=$(setting PASSWORD)
    {
        if [ -n "$database" ]; then echo "CREATE DATABASE IF NOT EXISTS \`$database\`;"; fi
        if [ -n "$user" ]; then
            echo "CREATE USER $(quoted "$user")@'%' IDENTIFIED BY $(quoted "$password");"
            if [ -n "$database" ]; then echo "GRANT ALL ON \`${database//_/\\_}\`.* TO $(quoted "$user")@'%';"; fi
        fi
        echo "CREATE USER 'root'@'%' IDENTIFIED BY $(quoted "$root"); GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
        echo "SET PASSWORD FOR 'root'@'localhost' = PASSWORD($(quoted "$root"));"
    } | mariadb --user=root
    export MYSQL_PWD=$root
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh) echo "[Note] [Entrypoint]: running $file"; if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
            *.sql) echo "[Note] [Entrypoint]: running $file"; mariadb --user=root ${database:+"$database"} < "$file" ;;
        esac
    done
    mariadb --user=root -e SHUTDOWN
    wait "$server"
    unset MYSQL_PWD
    echo '[Note] [Entrypoint]: MariaDB init process done. Ready for start up.'
fi
exec "$@"
