//! One object of any kind, as a change or a snapshot carries it.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Cluster, ClusterId, Config, ConfigId, Meta, Network, NetworkId, Node, NodeId, Secret, SecretId, Service,
    ServiceId, Task, TaskId,
};

/// What the store needs to know of an object.
pub trait Stored: Clone + Sized {
    type Id: Clone + Ord + Borrow<str> + fmt::Debug + fmt::Display;

    const KIND: Kind;

    fn id(&self) -> &Self::Id;
    fn meta(&self) -> &Meta;
    fn meta_mut(&mut self) -> &mut Meta;
    /// What a user calls it.
    fn name(&self) -> &str;
    fn into_object(self: Arc<Self>) -> Object;
    fn from_object(object: &Object) -> Option<&Arc<Self>>;
}

macro_rules! objects {
    ($($kind:ident $id:ident $named:expr;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Kind {
            $($kind,)*
        }

        #[derive(Clone, Debug, PartialEq)]
        pub enum Object {
            $($kind(Arc<$kind>),)*
        }

        /// The object by itself, as serde writes it.
        #[derive(Serialize)]
        #[serde(rename_all = "lowercase")]
        enum Borrowed<'a> {
            $($kind(&'a $kind),)*
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Owned {
            $($kind(Box<$kind>),)*
        }

        impl Object {
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            pub fn id(&self) -> &str {
                match self {
                    $(Self::$kind(object) => object.id.as_str(),)*
                }
            }

            pub fn name(&self) -> &str {
                match self {
                    $(Self::$kind(object) => Stored::name(object.as_ref()),)*
                }
            }

            pub fn meta(&self) -> &Meta {
                match self {
                    $(Self::$kind(object) => &object.meta,)*
                }
            }

            pub(crate) fn meta_mut(&mut self) -> &mut Meta {
                match self {
                    $(Self::$kind(object) => &mut Arc::make_mut(object).meta,)*
                }
            }
        }

        impl Serialize for Object {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$kind(object) => Borrowed::$kind(object).serialize(serializer),)*
                }
            }
        }

        impl<'de> Deserialize<'de> for Object {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(match Owned::deserialize(deserializer)? {
                    $(Owned::$kind(object) => Self::$kind(Arc::from(object)),)*
                })
            }
        }

        $(
            impl Stored for $kind {
                type Id = $id;

                const KIND: Kind = Kind::$kind;

                fn id(&self) -> &$id {
                    &self.id
                }

                fn meta(&self) -> &Meta {
                    &self.meta
                }

                fn meta_mut(&mut self) -> &mut Meta {
                    &mut self.meta
                }

                fn name(&self) -> &str {
                    let named: fn(&$kind) -> &str = $named;
                    named(self)
                }

                fn into_object(self: Arc<Self>) -> Object {
                    Object::$kind(self)
                }

                fn from_object(object: &Object) -> Option<&Arc<Self>> {
                    match object {
                        Object::$kind(object) => Some(object),
                        _ => None,
                    }
                }
            }
        )*
    };
}

objects! {
    Cluster ClusterId |cluster| cluster.spec.name.as_deref().unwrap_or_default();
    Node NodeId Node::hostname;
    Network NetworkId Network::name;
    Service ServiceId Service::name;
    Task TaskId |task| &task.annotations.name;
    Secret SecretId |secret| secret.spec.name.as_deref().unwrap_or_default();
    Config ConfigId |config| config.spec.name.as_deref().unwrap_or_default();
}

impl Kind {
    /// Whether two objects of the kind may not share a name. Nodes may share a host name, and
    /// tasks have their slots.
    pub fn has_unique_names(self) -> bool {
        !matches!(self, Self::Node | Self::Task)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "cluster",
            Self::Node => "node",
            Self::Network => "network",
            Self::Service => "service",
            Self::Task => "task",
            Self::Secret => "secret",
            Self::Config => "config",
        })
    }
}
