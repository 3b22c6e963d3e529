//! drydock-networks
