//! `RUN`: one of the engine's containers, watched to its end; what it wrote becomes a layer.

use std::sync::Arc;

use bollard_stubs::models::{Mount, MountTmpfsOptions, MountTypeEnum};
use drydock_builder::dockerfile::Network;
use drydock_builder::host::{HostError, MountSource, Output, Ran, RunError, RunMount, RunRequest};
use drydock_builder::short;
use drydock_shim::protocol::{self, Control, Stream, Streams};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::host::{EngineHost, failed};
use crate::container::create::{self, Wanted};
use crate::container::{Container, remove as removal, start};
use crate::error::{ApiError, chain};

/// Makes the container.
pub async fn create(host: &EngineHost<'_>, run: &RunRequest) -> Result<Arc<Container>, HostError> {
    let config = serde_json::to_value(&run.config).and_then(serde_json::from_value);
    let mut wanted = Wanted { config: config.map_err(|error| failed(&error))?, ..Wanted::default() };
    wanted.config.image.clone_from(&run.image);
    wanted.config.attach_stdout = true;
    wanted.config.attach_stderr = true;
    wanted.of_build = true;
    let mut host_config = host.request.host_config.clone();
    match run.network {
        None | Some(Network::Default) => {}
        Some(Network::None) => host_config.network_mode = Some("none".into()),
        Some(Network::Host) => host_config.network_mode = Some("host".into()),
    }
    host_config.mounts = Some(run.mounts.iter().map(mount).collect());
    wanted.around.host_config = Some(host_config);
    let (container, warnings) = create::create(&host.engine, None, wanted)
        .await
        .map_err(|error| HostError::new(ApiError::from(error).message))?;
    for warning in warnings {
        host.lines.say(&format!(" ---> [Warning] {warning}\n"));
    }
    Ok(container)
}

fn mount(mount: &RunMount) -> Mount {
    let target = Some(mount.target.clone());
    let read_only = Some(mount.read_only);
    match &mount.source {
        MountSource::Path(path) => Mount {
            target,
            read_only,
            typ: Some(MountTypeEnum::BIND),
            source: Some(path.to_string_lossy().into_owned()),
            ..Mount::default()
        },
        MountSource::Memory(size) => Mount {
            target,
            read_only,
            typ: Some(MountTypeEnum::TMPFS),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: (*size > 0).then_some(*size),
                ..MountTmpfsOptions::default()
            }),
            ..Mount::default()
        },
    }
}

/// Runs one process to its end.
pub async fn run(host: &EngineHost<'_>, run: &RunRequest, output: &dyn Output) -> Result<Ran, RunError> {
    if run.insecure {
        let text = "granting entitlement security.insecure is not allowed by build daemon configuration";
        return Err(RunError::Host(HostError::new(text)));
    }
    let container = create(host, run).await.map_err(RunError::Host)?;
    let id = container.id.to_string();
    output.stdout(&format!(" ---> Running in {}\n", short(&id)));
    let streams = Streams { stdin: false, stdout: true, stderr: true };
    let ready = container.attach_at_start(streams);
    let ended = async {
        if let Err(error) = start::start(&host.engine, &container).await {
            let error = HostError::new(chain(&error));
            return Err(RunError::Start { container: id.clone(), error });
        }
        if let Ok((stream, first)) = ready.await {
            pass_on(stream, first, output).await;
        }
        let mut phase = container.phase();
        let ended = phase.wait_for(|phase| !phase.running).await.map(|phase| phase.exit_code);
        Ok(ended.unwrap_or(-1))
    };
    let code = tokio::select! {
        ended = ended => ended?,
        () = host.cancel.cancelled() => {
            // The client is gone: nobody wants what it does.
            let _ = remove(host, &id).await;
            return Err(RunError::Cancelled { container: String::new() });
        }
    };
    if code != 0 {
        // Left for a look at what went wrong, unless the build is told to remove it.
        container.note(|record| record.of_build = false);
        return Err(RunError::Exit { container: id, code });
    }
    // The monitor has taken the run down when it lets go of this.
    drop(container.run.lock().await);
    let places: Vec<String> = run.mounts.iter().map(|mount| mount.target.clone()).collect();
    let layer = host.engine.images.take_layer(&id, &places, run.keep_container);
    let layer = layer.map_err(|error| RunError::Start { container: id.clone(), error: failed(&error) })?;
    if run.keep_container {
        container.note(|record| record.of_build = false);
    }
    Ok(Ran { container: id, layer: layer.map(|diff_id| diff_id.to_string()) })
}

/// The process's output, as it comes. Bytes of a letter that is cut wait for the rest of it.
async fn pass_on(mut stream: UnixStream, mut buffer: Vec<u8>, output: &dyn Output) {
    let (mut out, mut err) = (Letters::default(), Letters::default());
    loop {
        let mut used = 0;
        while let Ok(Some((frame, length))) = protocol::decode_frame(&buffer[used..]) {
            match frame.stream {
                Stream::Stdout => out.take(frame.payload, |text| output.stdout(text)),
                Stream::Stderr => err.take(frame.payload, |text| output.stderr(text)),
                Stream::Control if serde_json::from_slice::<Control>(frame.payload).is_ok() => return,
                _ => {}
            }
            used += length;
        }
        buffer.drain(..used);
        buffer.reserve(32 << 10);
        if !matches!(stream.read_buf(&mut buffer).await, Ok(count) if count > 0) {
            return;
        }
    }
}

#[derive(Default)]
struct Letters {
    cut: Vec<u8>,
}

impl Letters {
    fn take(&mut self, bytes: &[u8], say: impl Fn(&str)) {
        self.cut.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.cut) {
            Ok(_) => self.cut.len(),
            // Bytes that are no text at all are shown as such.
            Err(error) if error.error_len().is_some() => self.cut.len(),
            Err(error) => error.valid_up_to(),
        };
        let rest = self.cut.split_off(whole);
        let text = std::mem::replace(&mut self.cut, rest);
        if !text.is_empty() {
            say(&String::from_utf8_lossy(&text));
        }
    }
}

/// Removes a container with its volumes, running or not.
pub async fn remove(host: &EngineHost<'_>, id: &str) -> Result<(), HostError> {
    let container = host.engine.containers.find(id).map_err(|error| HostError::new(error.to_string()))?;
    let options = removal::Options { force: true, volumes: true };
    removal::remove(&host.engine, &container, options)
        .await
        .map_err(|error| HostError::new(ApiError::from(error).message))
}
