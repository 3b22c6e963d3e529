//! The log drivers that speak to another machine: syslog, gelf, splunk and fluentd.
//!
//! `drydock-shim` starts one `drydock-logger` for a container that has such a driver, and passes it the container's output
//! entry by entry (`backend/shim/src/log/helper.rs`). So TLS, HTTP, name resolution and waiting for a receiver that is slow or gone are
//! in a process that only these containers have, and the shim stays small and never waits.
//!
//! This library is what the engine must know of it: its [`settings`]. This room knows nothing of containers beyond the
//! labels it was given, of files that are logs, or of the Engine API.
#![forbid(unsafe_code)]

pub mod settings;
