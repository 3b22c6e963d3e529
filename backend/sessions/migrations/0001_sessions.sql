-- Times are milliseconds since 1970 in UTC.
CREATE TABLE sessions (
    id           TEXT    NOT NULL PRIMARY KEY,
    -- Names the session in port links; grants nothing else.
    label        TEXT    NOT NULL UNIQUE,
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL,
    stack        TEXT    NOT NULL,
    stack_name   TEXT    NOT NULL,
    image        TEXT    NOT NULL,
    lab          TEXT
) STRICT;

CREATE INDEX sessions_by_expiry ON sessions (expires_ms);

CREATE TABLE instances (
    name         TEXT    NOT NULL PRIMARY KEY,
    session      TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    hostname     TEXT    NOT NULL,
    image        TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    -- The host's id of the node, and its address in the session's network.
    node         TEXT    NOT NULL UNIQUE,
    ip           TEXT    NOT NULL,
    created_ms   INTEGER NOT NULL,
    UNIQUE (session, hostname)
) STRICT;

CREATE INDEX instances_by_session ON instances (session);

-- What a lab remembers of a session.
CREATE TABLE progress (
    session      TEXT    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    key          TEXT    NOT NULL,
    value        TEXT    NOT NULL,
    PRIMARY KEY (session, key)
) STRICT;
