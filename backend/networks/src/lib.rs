//! Networks: links, addresses, routes, packet rules, name service, in this or any other network
//! namespace, by netlink alone: no program is ever executed.
//!
//! Refuses to know: containers, sessions, HTTP, and where anything is stored. The caller says
//! what should be there and keeps the record; this room makes it so and takes it apart.
//!
//! Begin with [`netns::NetNs`] and [`netlink::Route`].
#![forbid(unsafe_code)]

pub mod balance;
pub mod bridge;
pub mod cidr;
pub mod dns;
pub mod forwarder;
pub mod ipam;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod overlay;
pub mod ports;
pub mod resolv;
pub mod sublink;

pub use cidr::Cidr;
pub use netns::NetNs;
