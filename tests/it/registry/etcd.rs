//! The registry in a real etcd, which these tests start for themselves where it is installed.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use teleport::registry::{Balancer, EtcdRegistry, Instance, Registry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{answers, client, listen, named, nowhere, ready, who};

/// How long any of it may take before a test gives up: for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names the etcd of a test to a process that it starts.
const ENDPOINT: &str = "TELEPORT_TEST_ETCD";

/// An etcd of its own, on loopback ports that were free, with its data in a folder of its own. Both end with it.
struct Etcd {
    process: Child,
    ports: [u16; 2],
    folder: PathBuf,
}

impl Etcd {
    /// `None`, and a line that says so, where etcd is not installed.
    fn start() -> Option<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("teleport-etcd-{}-{number}", std::process::id()));
        // Another process may take a port between the look and the start.
        for _ in 0..10 {
            let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
            let ports = free.map(|listener| listener.local_addr().unwrap().port());
            match spawn(&folder, ports) {
                Ok(Some(process)) => return Some(Etcd { process, ports, folder }),
                Ok(None) => {}
                Err(error) => {
                    eprintln!(
                        "skipped: etcd can't be started ({error}); with Debian it is the package etcd-server"
                    );
                    return None;
                }
            }
        }
        panic!("etcd does not start");
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    fn registry(&self) -> EtcdRegistry {
        EtcdRegistry::new([self.endpoint()]).unwrap()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again at the same ports, with the data that there is.
    fn start_again(&mut self) {
        self.process = spawn(&self.folder, self.ports).unwrap().expect("its ports are still free");
    }

    /// Asks its HTTP side, which has nothing of what is tested here in it.
    async fn http(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[0])).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n");
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        answer
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An etcd that serves; `None` where it ended before that, as it does where a port is taken.
fn spawn(folder: &PathBuf, ports: [u16; 2]) -> std::io::Result<Option<Child>> {
    let [client, peer] = ports.map(|port| format!("http://127.0.0.1:{port}"));
    let mut process = Command::new("etcd")
        .arg("--data-dir")
        .arg(folder)
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        // Alone it elects itself; the shortest lease is a second then.
        .args(["--heartbeat-interval", "50", "--election-timeout", "300"])
        .args(["--logger", "zap", "--log-outputs", "stderr"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let serves = |line: &String| line.contains("serving client traffic") || line.contains("ready to serve");
    if !lines.any(|line| serves(&line)) {
        process.wait()?;
        return Ok(None);
    }
    // It blocks when nobody reads what it says.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(Some(process))
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("too late: {what}"))
}

async fn gone(balancer: &Balancer) {
    in_time("the instance goes", balancer.wait_for(|all| all.is_empty())).await;
}

async fn back(balancer: &Balancer, count: usize) {
    in_time("the instances are ready", ready(balancer, count)).await;
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * n) & 63) as usize] as char;
            out.push(if n <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

#[tokio::test]
async fn a_peer_is_announced_found_and_withdrawn() {
    let Some(etcd) = Etcd::start() else { return };
    let registry = etcd.registry();
    let (a, b) = (listen(named("a")).await, listen(named("b")).await);
    // So long that nothing here can be the end of a lease.
    let ttl = Duration::from_secs(600);
    a.announce(registry.clone()).service("who").id("a").ttl(ttl).await.unwrap();
    b.announce(registry.clone()).service("who").id("b").ttl(ttl).await.unwrap();
    // Below the key of the other, if its name were taken as it is.
    b.announce(registry.clone()).service("who/else").ttl(ttl).await.unwrap();

    // Another connection, as of another process.
    let balancer = Balancer::new(&client(), etcd.registry(), "who");
    back(&balancer, 2).await;
    assert_eq!(answers(&balancer, 4).await, "abab");
    assert_eq!(balancer.instances().len(), 2);
    let other = Balancer::new(&client(), etcd.registry(), "who/else");
    assert_eq!(in_time("the other service", who(&other)).await, "b");

    // What other programs read and write.
    let key = base64("/teleport/services/who/a");
    let answer = etcd.http("/v3/kv/range", &format!(r#"{{"key":"{key}"}}"#)).await;
    let address = a.local_addr().unwrap();
    let json = format!(r#"{{"id":"a","address":"{address}","weight":1}}"#);
    assert!(answer.contains(&base64(&json)), "{answer}");
    let key = base64("/teleport/services/who/a%2Ftoo");
    let value = base64(&format!(r#"{{"id":"a/too","address":"{address}"}}"#));
    etcd.http("/v3/kv/put", &format!(r#"{{"key":"{key}","value":"{value}"}}"#)).await;
    back(&balancer, 3).await;
    etcd.http("/v3/kv/deleterange", &format!(r#"{{"key":"{key}"}}"#)).await;
    back(&balancer, 2).await;

    // One that changes is told, under the lease that it has.
    let heavy = Instance::new("a", &address).with_weight(2);
    registry.announce("who", &heavy, ttl).await.unwrap();
    in_time("the weight changes", balancer.wait_for(|all| all[0].instance.weight == 2)).await;

    let closing = tokio::spawn(async move { a.close().await });
    while !closing.is_finished() {
        who(&balancer).await;
    }
    closing.await.unwrap();
    in_time("it is withdrawn", balancer.wait_for(|all| all.len() == 1)).await;
    assert_eq!(answers(&balancer, 2).await, "bb");
    drop(b);
    gone(&balancer).await;
}

/// The process of the next test that dies. It is started by that test, and does nothing otherwise.
#[tokio::test]
#[ignore = "a process that another test starts and kills"]
async fn announcer() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else { return };
    let server = listen(named("a")).await;
    let registry = EtcdRegistry::new([endpoint]).unwrap();
    server.announce(registry).service("who").id("a").ttl(Duration::from_secs(1)).await.unwrap();
    println!("announced");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_process_that_is_killed_is_forgotten_within_its_lease() {
    let Some(etcd) = Etcd::start() else { return };
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "registry::etcd::announcer", "--ignored", "--nocapture"])
        .env(ENDPOINT, etcd.endpoint())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("announced")));
    let balancer = Balancer::new(&client(), etcd.registry(), "who");
    back(&balancer, 1).await;
    // Longer than the lease: it is kept alive.
    tokio::time::timeout(Duration::from_secs(3), balancer.wait_for(|all| all.is_empty())).await.unwrap_err();
    assert_eq!(who(&balancer).await, "a");
    process.kill().unwrap();
    process.wait().unwrap();
    // At once it is left out, and when its lease has run out it is forgotten.
    back(&balancer, 0).await;
    gone(&balancer).await;
}

#[tokio::test]
async fn what_etcd_forgets_is_announced_again() {
    let Some(mut etcd) = Etcd::start() else { return };
    let server = listen(named("a")).await;
    let ttl = Duration::from_secs(2);
    server.announce(etcd.registry()).service("who").id("a").ttl(ttl).await.unwrap();
    let balancer = Balancer::builder(&client(), etcd.registry(), "who")
        .backoff(Duration::from_millis(10), Duration::from_millis(100))
        .build()
        .unwrap();
    back(&balancer, 1).await;

    // The lease is taken away.
    let leases = etcd.http("/v3/lease/leases", "{}").await;
    let id = leases.split(r#""ID":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("a lease");
    etcd.http("/v3/lease/revoke", &format!(r#"{{"ID":"{id}"}}"#)).await;
    gone(&balancer).await;
    back(&balancer, 1).await;

    // It is not there for a while, and the instance that was known is called all the same.
    etcd.kill();
    let down = |balancer: &Balancer| balancer.instances().len() == 1;
    assert!(down(&balancer));
    assert_eq!(who(&balancer).await, "a");
    etcd.start_again();
    let late = listen(named("b")).await;
    in_time("announced", late.announce(etcd.registry()).service("who").id("b").ttl(ttl).into_future())
        .await
        .unwrap();
    back(&balancer, 2).await;

    // All that it knew is lost.
    etcd.kill();
    std::fs::remove_dir_all(&etcd.folder).unwrap();
    etcd.start_again();
    let fresh = Balancer::new(&client(), etcd.registry(), "who");
    back(&fresh, 2).await;
    back(&balancer, 2).await;
}

#[tokio::test]
async fn a_cluster_that_asks_for_a_user_and_members_that_are_not_there() {
    let Some(mut etcd) = Etcd::start() else { return };
    for (path, body) in [
        ("/v3/auth/user/add", r#"{"name":"root","password":"secret"}"#),
        ("/v3/auth/role/add", r#"{"name":"root"}"#),
        ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("/v3/auth/enable", "{}"),
    ] {
        etcd.http(path, body).await;
    }
    let dead = nowhere().await.replace("tcp://", "http://");
    let build = || EtcdRegistry::builder([dead.clone(), etcd.endpoint()]);
    let a = Instance::new("a", "x:1");
    let ttl = Duration::from_secs(60);
    let error = build().build().unwrap().announce("who", &a, ttl).await.unwrap_err();
    assert!(error.to_string().contains("etcdserver: user name is empty"), "{error}");
    let error = build().user("root", "guess").build().unwrap().announce("who", &a, ttl).await.unwrap_err();
    assert!(error.to_string().contains("authentication failed"), "{error}");
    let registry = build().user("root", "secret").prefix("/mine/").build().unwrap();
    assert!(!format!("{registry:?}").contains("secret"));
    registry.announce("who", &a, ttl).await.unwrap();
    let balancer = Balancer::new(&client(), registry.clone(), "who");
    in_time("it is found", balancer.wait_for(|all| all.len() == 1)).await;
    // It forgets its tokens when it starts again: another is asked for.
    etcd.kill();
    etcd.start_again();
    registry.announce("who", &Instance::new("b", "x:2"), ttl).await.unwrap();
    registry.announce("who", &a, ttl).await.unwrap();
    in_time("the watch goes on", balancer.wait_for(|all| all.len() == 2)).await;
    registry.withdraw("who", &a).await.unwrap();
    in_time("it is withdrawn", balancer.wait_for(|all| all.len() == 1)).await;
}

#[tokio::test]
async fn an_etcd_that_can_not_be_used_is_named() {
    let config = |endpoints: &[&str], says: &str| {
        let error = EtcdRegistry::new(endpoints.iter().copied()).unwrap_err();
        assert!(error.is_config() && error.to_string().contains(says), "{error}");
    };
    config(&[], "no etcd endpoint");
    config(&["127.0.0.1"], "has no port; write http://host:port");
    config(&["https://127.0.0.1:2379"], "asks for TLS");
    config(&["ftp://127.0.0.1:2379"], "unknown scheme");
    let error = EtcdRegistry::builder(["x:1"]).timeout(Duration::ZERO).build().unwrap_err();
    assert!(error.to_string().contains("`timeout`"), "{error}");

    let dead = nowhere().await.replace("tcp://", "");
    let server = listen(named("a")).await;
    let registry = EtcdRegistry::new([&*dead]).unwrap();
    let error = server.announce(registry.clone()).service("who").await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert!(error.to_string().contains(&format!("etcd at {dead}: ")), "{error}");
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
    let balancer =
        Balancer::builder(&client(), registry, "who").wait(Duration::from_millis(200)).build().unwrap();
    let error = balancer.session().await.unwrap_err();
    assert!(error.to_string().contains("the registry can't be watched: etcd at "), "{error}");

    // One that takes the connection and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let registry = EtcdRegistry::builder([address]).timeout(Duration::from_millis(100)).build().unwrap();
    let error =
        registry.announce("who", &Instance::new("a", "x:1"), Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 100ms"), "{error}");
}
