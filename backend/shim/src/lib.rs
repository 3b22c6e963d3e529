//! drydock-shim
