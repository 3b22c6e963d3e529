//! Which fields our messages have, for [`crate::json`]. The types are `drydock_wire`'s; that nothing is left out is
//! the compiler's to see, that names are right is tested against serde_json.

use drydock_wire::capture::Caught;
use drydock_wire::lab::{Block, CheckProgress, Lab, Progress, QuizAnswer, Step, StepProgress, Summary};
use drydock_wire::session::{Failure, Instance, Playground, Session, Template, Terminal};
use drydock_wire::topology::{Container, Endpoint, Fault, Network, Node, Port, Stats, Topology, Traffic};

use crate::json::{Flaws, Json, Read};

/// Structs whose JSON has their own fields' names, or the name that is said.
#[macro_export]
macro_rules! reads {
    ($($message:ty { $($field:ident $(as $name:literal)?),* $(,)? })*) => {
        $(impl $crate::json::Read for $message {
            #[inline(never)]
            fn read(json: &$crate::json::Json, flaws: &$crate::json::Flaws) -> Self {
                Self {
                    $($field: $crate::json::Read::read(json.get($crate::reads!(@ $field $($name)?)), flaws),)*
                }
            }
        })*
    };
    (@ $field:ident) => { stringify!($field) };
    (@ $field:ident $name:literal) => { $name };
}

reads! {
    Caught { lines, left_out, over }
    Summary { id, title, summary, level, minutes, tags, steps }
    Step { id, title, gated, blocks }
    Progress { lab, state, message, steps, values }
    StepProgress { id, open, done, checks }
    CheckProgress { id, state, output }
    Session {
        id, created_at, expires_at, pwd_ip_address, ready, stack, stack_name, image_name, host, user_id,
        playground_id, instances, max_instances, lab,
    }
    Instance {
        name, image, hostname, ip, routable_ip, tls, session_id, proxy_host, session_host, kind as "type",
    }
    Terminal { id, cols, rows, title }
    Failure { error, message }
    Playground { default_duration_seconds, max_duration_seconds, max_instances, images, templates, full }
    Template { name, title, summary, nodes }
    Topology { nodes, faults }
    Fault { one, other, loss }
    Node { name, hostname, ip, state, swarm_role, swarm_state, swarm_ports, networks, containers, stats, traffic }
    Traffic { interface, received, sent }
    Network { id, name, driver, subnet, interface }
    Container { id, name, image, state, status, endpoints, ports }
    Endpoint { network, ip, interface }
    Port { protocol, container_port, host_port }
    Stats { cpu_percent, memory_bytes, memory_limit_bytes, disk_bytes, disk_limit_bytes }
}

impl Read for Lab {
    fn read(json: &Json, flaws: &Flaws) -> Self {
        Self {
            summary: Read::read(json, flaws),
            nodes: Read::read(json.get("nodes"), flaws),
            contents: Read::read(json.get("contents"), flaws),
        }
    }
}

/// A field of a block, by its name.
macro_rules! block {
    ($json:ident $flaws:ident $kind:ident { $($field:ident),* }) => {
        Block::$kind { $($field: Read::read($json.get(stringify!($field)), $flaws)),* }
    };
}

impl Read for Block {
    fn read(json: &Json, flaws: &Flaws) -> Self {
        match String::read(json.get("kind"), flaws).as_str() {
            "run" => block!(json flaws Run { id, node, terminal, text, interrupt, enter }),
            "code" => block!(json flaws Code { language, text }),
            "file" => block!(json flaws File { id, node, path, text }),
            "link" => block!(json flaws Link { id, text }),
            "port" => block!(json flaws Port { node, port, label }),
            "check" => block!(json flaws Check { id, title, continuous }),
            "hint" => block!(json flaws Hint { title, html }),
            "quiz" => block!(json flaws Quiz { id, question_html, answer }),
            kind => {
                if kind != "prose" {
                    flaws.note();
                }
                block!(json flaws Prose { html })
            }
        }
    }
}

impl Read for QuizAnswer {
    fn read(json: &Json, flaws: &Flaws) -> Self {
        let choices = || Read::read(json.get("choices_html"), flaws);
        match String::read(json.get("form"), flaws).as_str() {
            "single" => Self::Single { choices_html: choices() },
            "multiple" => Self::Multiple { choices_html: choices() },
            form => {
                if form != "text" {
                    flaws.note();
                }
                Self::Text
            }
        }
    }
}
