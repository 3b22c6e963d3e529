//! Matches and targets of `iptables`. Where the kernel's newer expressions say the same, `iptables -L` cannot read
//! them and shows nothing of the whole table.

use std::net::Ipv4Addr;

use super::rule::Rule;

impl Rule {
    fn extension(self, kind: &str, name: &str, revision: u32, settings: &[u8]) -> Self {
        self.expression(kind, |it| {
            it.attr_str(1, name).attr_be32(2, revision).attr(3, settings);
        })
    }

    /// `-m addrtype --dst-type LOCAL` (`struct xt_addrtype_info_v1`).
    pub fn is_for_this_host_as_iptables(self) -> Self {
        const LOCAL: u16 = 1 << 2;
        let mut settings = [0; 8];
        settings[2..4].copy_from_slice(&LOCAL.to_ne_bytes());
        self.extension("match", "addrtype", 1, &settings)
    }

    /// `-m conntrack --ctstate RELATED,ESTABLISHED` (`struct xt_conntrack_mtinfo3`).
    pub fn is_established_as_iptables(self) -> Self {
        const STATE: u16 = 1;
        const RELATED_OR_ESTABLISHED: u16 = 1 << 2 | 1 << 1;
        let mut settings = [0; 168];
        settings[146..148].copy_from_slice(&STATE.to_ne_bytes());
        settings[150..152].copy_from_slice(&RELATED_OR_ESTABLISHED.to_ne_bytes());
        self.extension("match", "conntrack", 3, &settings)
    }

    /// `-j DNAT --to-destination ip:port` (`struct nf_nat_range2`).
    pub fn translate_as_iptables(self, ip: Ipv4Addr, port: u16) -> Self {
        const ADDRESS_AND_PORT: u32 = 1 | 2;
        let mut settings = [0; 48];
        settings[..4].copy_from_slice(&ADDRESS_AND_PORT.to_ne_bytes());
        for at in [4, 20] {
            settings[at..at + 4].copy_from_slice(&ip.octets());
        }
        for at in [36, 38] {
            settings[at..at + 2].copy_from_slice(&port.to_be_bytes());
        }
        self.extension("target", "DNAT", 2, &settings)
    }

    /// `-j MASQUERADE` (`struct nf_nat_ipv4_multi_range_compat`).
    pub fn masquerade_as_iptables(self) -> Self {
        let mut settings = [0; 24];
        settings[..4].copy_from_slice(&1u32.to_ne_bytes());
        self.extension("target", "MASQUERADE", 0, &settings)
    }
}
