//! JSON whose fields come in moby's order: people read `docker inspect` from the top.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

/// Fields of containers as moby writes them, whatever object they are in; others follow by name.
const FIELDS: &str = "Id Created Path Args State Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt \
    FinishedAt Health FailingStreak Log Start End Output Hostname Domainname User AttachStdin AttachStdout AttachStderr \
    ExposedPorts Tty OpenStdin StdinOnce Env Cmd Healthcheck Test Interval Timeout StartPeriod StartInterval Retries \
    ArgsEscaped Image IP PrivatePort PublicPort Volumes WorkingDir Entrypoint NetworkDisabled OnBuild Labels StopSignal \
    StopTimeout Shell ResolvConfPath HostnamePath HostsPath LogPath Type Source Target ReadOnly Consistency BindOptions \
    VolumeOptions ImageOptions TmpfsOptions Data Name MaximumRetryCount RestartCount Driver Platform MountLabel ProcessLabel \
    AppArmorProfile ExecIDs HostConfig Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove \
    VolumeDriver VolumesFrom ConsoleSize Annotations CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts \
    GroupAdd IpcMode Cgroup Links OomScoreAdj PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt \
    Tmpfs UTSMode UsernsMode ShmSize Sysctls Runtime Isolation CpuShares Memory NanoCpus CgroupParent BlkioWeight \
    BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota \
    CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus CpusetMems Devices PathOnHost PathInContainer CgroupPermissions \
    DeviceCgroupRules DeviceRequests MemoryReservation MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits Hard \
    Soft CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth GraphDriver SizeRw SizeRootFs Mounts MaskedPaths ReadonlyPaths \
    Init Config HostIp HostPort NetworkSettings Bridge SandboxID SandboxKey Ports HairpinMode LinkLocalIPv6Address \
    LinkLocalIPv6PrefixLen SecondaryIPAddresses SecondaryIPv6Addresses EndpointID Gateway GlobalIPv6Address \
    GlobalIPv6PrefixLen IPAddress IPPrefixLen IPv6Gateway MacAddress Networks";
/// Of a mount that is.
const MOUNT: &str = "Type Name Source Destination Driver Mode RW Propagation";
/// Of a line of `docker ps`.
const SUMMARY: &str = "Id Names Image ImageID ImageManifestDescriptor Command Created Ports SizeRw SizeRootFs Labels State \
    Status HostConfig NetworkSettings Mounts";
/// An endpoint's fields stand in another order than those of the settings around it.
const ENDPOINT: &str = "IPAMConfig Links Aliases MacAddress DriverOpts GwPriority NetworkID EndpointID Gateway IPAddress \
    IPPrefixLen IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen DNSNames";

/// A value that is written so.
#[derive(Clone, Copy, Debug)]
pub struct InOrder<'a>(pub &'a Value);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(list) => {
                let mut sequence = serializer.serialize_seq(Some(list.len()))?;
                list.iter().try_for_each(|value| sequence.serialize_element(&InOrder(value)))?;
                sequence.end()
            }
            Value::Object(object) => {
                let table = table(object);
                let rank = |key: &str| table.split_whitespace().position(|field| field == key);
                let mut fields: Vec<_> = object.iter().collect();
                fields.sort_by_cached_key(|(key, _)| (rank(key).unwrap_or(usize::MAX), (*key).clone()));
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(key, value)| map.serialize_entry(key, &InOrder(value)))?;
                map.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

fn table(object: &serde_json::Map<String, Value>) -> &'static str {
    let marks = [("IPAMConfig", ENDPOINT), ("RW", MOUNT), ("Names", SUMMARY)];
    marks.iter().find(|(mark, _)| object.contains_key(*mark)).map_or(FIELDS, |(_, table)| table)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::InOrder;

    #[test]
    fn known_fields_come_in_mobys_order_and_others_by_name() {
        let value = json!({ "Zebra": 1, "Ant": 2, "State": { "Pid": 0, "Status": "x" }, "Id": "a",
            "Networks": { "b": { "Gateway": "", "IPAMConfig": null, "MacAddress": "" } } });
        let text = serde_json::to_string(&InOrder(&value)).expect("text");
        assert_eq!(
            text,
            r#"{"Id":"a","State":{"Status":"x","Pid":0},"Networks":{"b":{"IPAMConfig":null,"MacAddress":"","Gateway":""}},"Ant":2,"Zebra":1}"#
        );
    }
}
