//! drydock-sys
