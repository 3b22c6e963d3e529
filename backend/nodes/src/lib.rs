//! drydock-nodes
