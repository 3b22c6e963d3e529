//! What a swarm's encrypted overlay networks travel in between its nodes: WireGuard on UDP port 51820, in this process.
//!
//! Each node has an address that follows from its name ([`address_of`]), which leads into a TUN link of ours. The kernel's VXLAN sends to the
//! other nodes' addresses; whatever is not for them is stopped by packet rules that stay while no engine runs ([`fence`]).
//!
//! ```text
//!  vxlan ─▶ fd64:7279:646b:… of the other node ─▶ TUN ─▶ outward ─▶ UDP 51820 ┄┄ inward ─▶ TUN ─▶ vxlan
//!                                                       (seal)                   (open, and check who it is from)
//! ```
//!
//! Keys are derived from the swarm's secret and the nodes' names ([`Key`]), so nothing is exchanged when the secret changes. Refuses to know: which
//! networks there are, what is in them, and where the secret comes from. Begin with [`Tunnel`].
#![forbid(unsafe_code)]

mod address;
mod bundle;
mod device;
mod fence;
mod key;
mod outbox;
mod peer;
mod peers;
mod tunnel;

pub use address::{PREFIX, PREFIX_LENGTH, address_of};
pub use fence::open as remove_fence;
pub use key::Key;
pub use peers::Neighbour;
pub use tunnel::{LINK, OVERHEAD, PORT, Place, Tunnel, TunnelError};
