//! drydock-model
