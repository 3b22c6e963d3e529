//! Debian's `docker-registry` in a machine's network, and a server of tokens beside it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::machine::Machine;

/// An address that is not the loopback's: what is there may not be insecure.
pub const ELSEWHERE: &str = "10.99.0.1";

/// What `htpasswd -B` makes of `ann` and `secret`.
const PASSWORDS: &str = "ann:$2y$05$VjVSmF4R2WQBvVu8nj4Thu7UKPGertdlsiAI1qug81.bSUHwQ1SL2\n";

/// Who may use the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Nobody,
    Password,
    /// By a token of [`Tokens`].
    Token,
}

/// How it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Plain,
    Tls,
    /// TLS, and the client shows a certificate as well.
    Mutual,
}

pub struct Registry(Child);

impl Registry {
    /// A registry that anyone may write to, on port 5000.
    pub fn start(machine: &Machine) -> Self {
        Self::guarded(machine, 5000, Guard::Nobody, Wire::Plain)
    }

    pub fn guarded(machine: &Machine, port: u16, guard: Guard, wire: Wire) -> Self {
        let config = machine.path(&format!("registry-{port}.yml"));
        let keys = Keys::of(machine);
        let mut text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 0.0.0.0:{port}\n",
            machine.path(&format!("registry-{port}")).display()
        );
        if wire != Wire::Plain {
            text += &format!("  tls:\n    certificate: {}\n    key: {}\n", keys.certificate(), keys.key());
        }
        if wire == Wire::Mutual {
            text += &format!("    clientcas: [{}]\n", keys.authority());
        }
        match guard {
            Guard::Nobody => {}
            Guard::Password => {
                let file = machine.path("htpasswd");
                std::fs::write(&file, PASSWORDS).expect("write");
                text += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
            }
            Guard::Token => {
                text += &format!(
                    "auth:\n  token:\n    realm: http://127.0.0.1:{}/token\n    service: test\n    issuer: test\n    rootcertbundle: {}\n",
                    Tokens::PORT,
                    keys.certificate()
                );
            }
        }
        std::fs::write(&config, text).expect("write");
        let mut serve: Command = machine.inside("docker-registry");
        serve.arg("serve").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self(serve.spawn().expect("nsenter, of util-linux"));
        let scheme = if wire == Wire::Plain { "http" } else { "https" };
        let url = format!("{scheme}://127.0.0.1:{port}/");
        machine.until("the registry answers (apt-get install docker-registry)", |machine| {
            let mut ask = machine.inside("curl");
            ask.args(["--silent", "--insecure", "--cert", &keys.certificate(), "--key", &keys.key(), &url]);
            ask.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        });
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An authority and a certificate of it, which serves as everybody's.
pub struct Keys(PathBuf);

impl Keys {
    pub fn of(machine: &Machine) -> Self {
        let keys = Self(machine.path("keys"));
        if !keys.0.exists() {
            keys.make();
        }
        keys
    }

    fn make(&self) {
        std::fs::create_dir_all(&self.0).expect("a folder");
        let openssl = |arguments: &str| {
            let mut openssl = Command::new("openssl");
            openssl
                .args(arguments.split(' '))
                .current_dir(&self.0)
                .stderr(Stdio::null())
                .stdout(Stdio::null());
            assert!(openssl.status().expect("openssl (apt-get install openssl)").success(), "{arguments}");
        };
        openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 9 -subj /CN=test-authority",
        );
        openssl("req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=test");
        std::fs::write(self.0.join("names"), format!("subjectAltName=IP:{ELSEWHERE},IP:127.0.0.1\n"))
            .expect("write");
        openssl(
            "x509 -req -in own.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out own.crt -days 9 -extfile names",
        );
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn authority(&self) -> String {
        self.file("ca.crt")
    }

    pub fn certificate(&self) -> String {
        self.file("own.crt")
    }

    pub fn key(&self) -> String {
        self.file("own.key")
    }

    /// RS256 of a token's first two parts.
    fn sign(&self, text: &str) -> Vec<u8> {
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-sign", &self.key()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = openssl.spawn().expect("openssl (apt-get install openssl)");
        child.stdin.take().expect("its input").write_all(text.as_bytes()).expect("write");
        child.wait_with_output().expect("its end").stdout
    }

    /// The certificate as a token carries it.
    fn der(&self) -> String {
        let pem = std::fs::read_to_string(self.certificate()).expect("read");
        pem.lines().filter(|line| !line.starts_with("-----")).collect()
    }
}

/// Gives tokens to `ann` for everything, to strangers for reading what begins with `public/`. It answers `docker login`
/// with an identity token.
pub struct Tokens;

impl Tokens {
    pub const PORT: u16 = 5009;

    /// Answers until the test's process ends; the machine's network keeps nothing of it.
    pub fn start(machine: &Machine) {
        let network = std::fs::File::open(machine.network()).expect("its network");
        let keys = Arc::new(Keys::of(machine));
        let (ready, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).expect("enter the network");
            let listener = TcpListener::bind(("127.0.0.1", Self::PORT)).expect("a port");
            ready.send(()).expect("somebody waits");
            for stream in listener.incoming().flatten() {
                let keys = keys.clone();
                std::thread::spawn(move || answer(stream, &keys));
            }
        });
        started.recv().expect("it listens");
    }
}

fn answer(mut stream: TcpStream, keys: &Keys) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut first = String::new();
    let _ = reader.read_line(&mut first);
    let (mut authorization, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, text) = match first.split(' ').next() {
        Some("POST") => exchanged(&form(&String::from_utf8_lossy(&body)), keys),
        _ => given(&form(path.split_once('?').unwrap_or_default().1), authorization.as_deref(), keys),
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
}

fn given(
    query: &HashMap<String, String>,
    authorization: Option<&str>,
    keys: &Keys,
) -> (&'static str, String) {
    let user = match authorization {
        None => "",
        Some(header) if header == format!("Basic {}", STANDARD.encode("ann:secret")) => "ann",
        Some(_) => return refused("incorrect username or password"),
    };
    let mut answer = json!({"token": token(query, user, keys)});
    if query.get("offline_token").is_some_and(|value| value == "true") {
        answer["refresh_token"] = json!("refresh-ann");
    }
    ("200 OK", answer.to_string())
}

fn exchanged(form: &HashMap<String, String>, keys: &Keys) -> (&'static str, String) {
    if form.get("refresh_token").map(String::as_str) != Some("refresh-ann") {
        return refused("bad refresh token");
    }
    ("200 OK", json!({"access_token": token(form, "ann", keys)}).to_string())
}

fn refused(message: &str) -> (&'static str, String) {
    let errors = json!({"errors": [{"code": "UNAUTHORIZED", "message": message, "detail": {}}]});
    ("401 Unauthorized", errors.to_string())
}

fn token(query: &HashMap<String, String>, user: &str, keys: &Keys) -> String {
    let scopes = query.get("scope").map(String::as_str).unwrap_or_default();
    let access = scopes.split(' ').filter(|scope| !scope.is_empty()).map(|scope| {
        let mut parts = scope.split(':');
        let (kind, name, actions) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
        let may = |action: &&str| user == "ann" || (*action == "pull" && name.starts_with("public/"));
        let actions: Vec<&str> = actions.unwrap_or_default().split(',').filter(may).collect();
        json!({"type": kind, "name": name, "actions": actions})
    });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
    let claims = json!({
        "iss": "test", "sub": user, "aud": query["service"], "exp": now + 300, "nbf": now - 60, "iat": now,
        "jti": "1", "access": access.collect::<Vec<_>>(),
    });
    let head = json!({"typ": "JWT", "alg": "RS256", "x5c": [keys.der()]});
    let text = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(keys.sign(&text)))
}

fn form(text: &str) -> HashMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
                }
                byte => bytes.push(byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decode(key), decode(value))).collect()
}

impl Machine {
    /// Gives the machine an address beside the loopback's, and a `/etc/docker` of its own.
    pub fn elsewhere(&self) {
        let _ = std::fs::create_dir_all("/etc/docker");
        for command in
            [format!("ip addr add {ELSEWHERE}/32 dev lo"), "mount -t tmpfs tmpfs /etc/docker".to_owned()]
        {
            let mut words = command.split(' ');
            let mut run = self.inside(words.next().unwrap_or_default());
            assert!(run.args(words).status().expect("nsenter, of util-linux").success(), "{command}");
        }
    }

    /// Puts a file where the engine looks for a registry's certificates.
    pub fn certify(&self, registry: &str, name: &str, file: &str) {
        let folder = format!("/etc/docker/certs.d/{registry}");
        let script = format!("mkdir -p {folder} && cp {file} {folder}/{name}");
        let mut run = self.inside("sh");
        assert!(run.args(["-c", &script]).status().expect("nsenter, of util-linux").success());
    }

    pub fn uncertify(&self, registry: &str, name: &str) {
        let path = Path::new("/etc/docker/certs.d").join(registry).join(name);
        let mut run = self.inside("rm");
        assert!(run.arg(path).status().expect("nsenter, of util-linux").success());
    }

    /// The genuine command line inside the machine's network, for what it asks registries itself.
    pub fn docker_inside<const N: usize>(&self, arguments: [&str; N]) -> crate::machine::Said {
        let mut docker = self.inside("docker");
        docker
            .args(arguments)
            .env("DOCKER_HOST", format!("unix://{}", self.path("docker.sock").display()))
            .env("DOCKER_CONFIG", self.path("docker-config"))
            .stdin(Stdio::null());
        docker.output().expect("nsenter, of util-linux").into()
    }
}
