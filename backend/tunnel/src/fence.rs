//! Packet rules that keep the tunnel the only way for encrypted networks: they hold while no engine runs and the link is gone, when packets
//! would else go wherever the host's default route leads, in clear.
//!
//! VXLAN over IPv6 is of encrypted networks alone here, the others have IPv4; a packet over IPv4 with an encrypted network's number finds no
//! device in the kernel, which has a socket and a table of numbers for each family.

use drydock_networks::NetNs;
use drydock_networks::netlink::NetlinkError;
use drydock_networks::nft::{Batch, ChainType, Family, Hook, HookPoint, Nft, Port, Rule, Verdict};

use crate::address::{PREFIX, PREFIX_LENGTH};
use crate::tunnel::LINK;

const TABLE: &str = "drydock-encrypted";
const UDP: u8 = 17;

/// Shuts all ways but the tunnel's. `port` is VXLAN's.
pub(crate) fn shut(namespace: &NetNs, port: u16) -> Result<(), NetlinkError> {
    let hook = |at, priority| Some(Hook { chain_type: ChainType::Filter, at, priority });
    let in_clear = Rule::new()
        .arrives_on_other_than(LINK)
        .protocol(UDP)
        .port(Port::Destination, port)
        .verdict(Verdict::Drop);
    let astray =
        Rule::new().leaves_by_other_than(LINK).goes_to_v6(PREFIX, PREFIX_LENGTH).verdict(Verdict::Drop);
    let batch = table()
        .create_table()
        .add_chain("arriving", hook(HookPoint::Prerouting, -300))
        .add_rule("arriving", &in_clear)
        .add_chain("leaving", hook(HookPoint::Postrouting, 300))
        .add_rule("leaving", &astray);
    Nft::open_in(namespace)?.commit(batch)
}

/// Takes the rules away; no error when there are none.
pub fn open(namespace: &NetNs) -> Result<(), NetlinkError> {
    Nft::open_in(namespace)?.commit(table())
}

fn table() -> Batch {
    Batch::of(Family::Ip6, TABLE).delete_table()
}
