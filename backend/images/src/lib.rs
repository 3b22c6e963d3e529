//! drydock-images
