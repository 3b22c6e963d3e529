#!/bin/sh
# Runs what lies in /docker-entrypoint.d, then the command.
set -e
if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
    for script in /docker-entrypoint.d/*; do
        case $script in
        *.envsh) [ -x "$script" ] && . "$script" ;;
        *.sh) [ -x "$script" ] && "$script" ;;
        esac
    done
fi
exec "$@"
