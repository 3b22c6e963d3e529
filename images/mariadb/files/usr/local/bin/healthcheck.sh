#!/bin/sh
# `healthcheck.sh --connect --innodb_initialized`: answers whether the server takes connections over the network. Before
# its database is made, it does not.
exec bash -c 'exec 3<> /dev/tcp/127.0.0.1/3306' 2> /dev/null
