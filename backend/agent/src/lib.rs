//! drydock-agent
