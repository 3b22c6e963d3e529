//! drydock-sessions
