//! drydock-registry
