//! drydock-labs
