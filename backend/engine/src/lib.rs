//! drydock-engine
