//! What a trait of 50 methods adds to a build: Teleport's attribute beside tarpc's.
//!
//! ```sh
//! cargo run --release -p teleport-benches --bin macro-cost
//! ```
//!
//! Writes five programs into a folder that is removed at the end: a trait of 50 methods and its implementation alone,
//! and Teleport services and tarpc services of 1 and of 50 methods; each calls every method. Builds their dependencies
//! once, then times the build of the programs alone. The versions are those of the workspace's `Cargo.lock`, so nothing
//! is fetched that the other programs of this package did not need.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use teleport_benches::Result;
use teleport_benches::stats::Spread;
use teleport_benches::table::Table;

/// The workspace that this program was built in.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const METHODS: usize = 50;

/// What the trait of a program is, and how many methods it has.
const PROGRAMS: [(Kind, usize); 5] = [
    (Kind::Plain, METHODS),
    (Kind::Teleport, 1),
    (Kind::Teleport, METHODS),
    (Kind::Tarpc, 1),
    (Kind::Tarpc, METHODS),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A trait and no more.
    Plain,
    Teleport,
    Tarpc,
}

/// Also the name of its package.
fn name((kind, methods): (Kind, usize)) -> String {
    let kind = match kind {
        Kind::Plain => "plain",
        Kind::Teleport => "teleport",
        Kind::Tarpc => "tarpc",
    };
    format!("{kind}-{methods}")
}

/// What is timed.
const BUILDS: [(&str, Build); 3] = [
    ("`cargo check`, from nothing", Build { command: "check", clean: true }),
    ("`cargo build`, from nothing", Build { command: "build", clean: true }),
    ("`cargo build`, after a change", Build { command: "build", clean: false }),
];

#[derive(Clone, Copy)]
struct Build {
    command: &'static str,
    /// Whether what was built of the program is removed first; its dependencies stay.
    clean: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => measure(5),
        ["--quick"] => measure(1),
        _ => Err("usage: macro-cost [--quick]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(rounds: usize) -> Result<()> {
    let folder = Folder::new()?;
    eprintln!("building the dependencies in {}", folder.path.display());
    for program in PROGRAMS.map(name) {
        // One by one, as they are timed: together they would have other features of their dependencies.
        folder.cargo(&["check", "--package", &program])?;
        folder.cargo(&["build", "--package", &program])?;
        folder.cargo(&["build", "--package", &program, "--release"])?;
    }

    let mut times = vec![vec![Vec::new(); PROGRAMS.len()]; BUILDS.len()];
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for ((_, build), times) in BUILDS.iter().zip(&mut times) {
            for (program, times) in PROGRAMS.iter().zip(times) {
                times.push(folder.time(*program, *build, round)?);
            }
        }
    }

    println!(
        "Traits of 1 and of {METHODS} methods, each called once; dependencies are built. Seconds, {rounds} rounds, \
         median (least..most); the ratio is what Teleport's other {} methods add to what tarpc's do:\n",
        METHODS - 1
    );
    let mut table = Table::new([String::new()].into_iter().chain(PROGRAMS.map(name)).chain(["ratio".into()]));
    for ((name, _), times) in BUILDS.iter().zip(times) {
        let spreads: Vec<Spread> = times.into_iter().filter_map(Spread::of).collect();
        let medians: Vec<f64> = spreads.iter().map(|spread| spread.median).collect();
        let cells = spreads.iter().map(Spread::to_string).chain([ratio(&medians)]);
        table.row([(*name).to_owned()].into_iter().chain(cells));
    }
    println!("{table}");
    let mut sizes = Table::new([String::new()].into_iter().chain(PROGRAMS.map(name)).chain(["ratio".into()]));
    let bytes = folder.sizes()?;
    let cells = bytes.iter().map(|bytes| format!("{:.0}", bytes / 1024.0)).chain([ratio(&bytes)]);
    sizes.row(["KiB of the program, `--release`, without symbols".to_owned()].into_iter().chain(cells));
    println!("{sizes}");
    Ok(())
}

/// What more methods add with Teleport, as a part of what they add with tarpc; of figures in the order of the programs.
fn ratio(figures: &[f64]) -> String {
    let [_, teleport, teleport_many, tarpc, tarpc_many] = figures else { return String::new() };
    format!("{:.2}", (teleport_many - teleport) / (tarpc_many - tarpc))
}

/// A folder with a workspace of the programs, removed when it is dropped.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("teleport-macro-cost-{}", std::process::id()));
        let folder = Folder { path };
        let members = PROGRAMS.map(|program| format!("{:?}", name(program))).join(", ");
        let workspace = format!(
            "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[profile.release]\nstrip = \"symbols\"\n"
        );
        folder.write("Cargo.toml", &workspace)?;
        fs::copy(Path::new(WORKSPACE).join("Cargo.lock"), folder.path.join("Cargo.lock"))?;
        for program in PROGRAMS {
            folder.write(&format!("{}/Cargo.toml", name(program)), &manifest(program)?)?;
            folder.write(&format!("{}/src/main.rs", name(program)), &source(program, 0)?)?;
        }
        Ok(folder)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&self.path))?;
        Ok(fs::write(path, text)?)
    }

    /// Seconds that it takes.
    fn cargo(&self, arguments: &[&str]) -> Result<f64> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let began = Instant::now();
        let output = Command::new(cargo)
            .args(arguments)
            .args(["--quiet", "--offline"])
            .current_dir(&self.path)
            // As a developer has it, whatever this program was started by.
            .env("CARGO_TARGET_DIR", self.path.join("target"))
            .env_remove("CARGO_INCREMENTAL")
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            return Err(format!("cargo {arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(began.elapsed().as_secs_f64())
    }

    fn time(&self, program: (Kind, usize), build: Build, round: usize) -> Result<f64> {
        let name = name(program);
        if build.clean {
            self.cargo(&["clean", "--package", &name])?;
        } else {
            // A change of one handler, as it is made all the time.
            self.write(&format!("{name}/src/main.rs"), &source(program, round)?)?;
        }
        self.cargo(&[build.command, "--package", &name])
    }

    /// Bytes of each program.
    fn sizes(&self) -> Result<Vec<f64>> {
        let release = self.path.join("target/release");
        let size = |program| Ok(fs::metadata(release.join(name(program)))?.len() as f64);
        PROGRAMS.into_iter().map(size).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn manifest(program: (Kind, usize)) -> Result<String> {
    let workspace = fs::canonicalize(WORKSPACE)?;
    let own = match program.0 {
        Kind::Plain => String::new(),
        Kind::Teleport => format!("teleport = {{ path = {:?} }}\n", workspace.join("teleport")),
        Kind::Tarpc => {
            let features = "features = [\"tcp\", \"serde-transport-bincode\"]";
            format!("tarpc = {{ version = \"0.38\", {features} }}\nfutures-util = \"0.3\"\n")
        }
    };
    // The plain program has tokio too, and nothing else.
    let tokio = "tokio = { version = \"1\", features = [\"rt-multi-thread\", \"net\"] }\n";
    let package = format!("name = {:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n", name(program));
    Ok(format!("[package]\n{package}\n[dependencies]\n{tokio}{own}"))
}

/// A trait, its implementation, and a `main` that calls each of its methods. In each round the first handler differs.
fn source((kind, methods): (Kind, usize), round: usize) -> Result<String> {
    let (mut declared, mut implemented, mut called) = (String::new(), String::new(), String::new());
    let (arguments, result) = ("id: u64, name: String, tags: Vec<u32>", "Vec<String>");
    let (text, receiver, context, unwrap) = match kind {
        Kind::Plain => (PLAIN, "&self, ", "", ""),
        Kind::Teleport => (TELEPORT, "&self, ", "", ".unwrap()"),
        Kind::Tarpc => (TARPC, "self, _: context::Context, ", "context::current(), ", ".unwrap()"),
    };
    for n in 0..methods {
        let of_round = if n == 0 { round } else { n };
        match kind {
            Kind::Plain => writeln!(
                declared,
                "    fn method_{n}(&self, {arguments}) -> impl Future<Output = {result}> + Send;"
            )?,
            Kind::Teleport => writeln!(declared, "    async fn method_{n}(&self, {arguments}) -> {result};")?,
            Kind::Tarpc => writeln!(declared, "    async fn method_{n}({arguments}) -> {result};")?,
        }
        writeln!(
            implemented,
            "    async fn method_{n}({receiver}{arguments}) -> {result} {{\n        \
             tags.iter().map(|tag| format!(\"{{name}} {{}} {of_round}\", id + u64::from(*tag))).collect()\n    }}"
        )?;
        writeln!(
            called,
            "    total += client.method_{n}({context}{n}, \"a name\".into(), vec![1, 2]).await{unwrap}.len();"
        )?;
    }
    Ok(text.replace("DECLARED", &declared).replace("IMPLEMENTED", &implemented).replace("CALLED", &called))
}

const PLAIN: &str = "trait Many: Send + Sync + 'static {
DECLARED}

struct Own;

impl Many for Own {
IMPLEMENTED}

fn main() {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run());
}

async fn run() {
    let client = Own;
    let mut total = 0;
CALLED    println!(\"{total}\");
}
";

const TELEPORT: &str = "use teleport::Peer;

#[teleport::service(codec = bincode, codecs = [bincode])]
trait Many {
DECLARED}

struct Own;

impl Many for Own {
IMPLEMENTED}

fn main() {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run());
}

async fn run() {
    let server = Peer::builder().service(ManyServer::new(Own)).unwrap().listen(\"127.0.0.1:0\").await.unwrap();
    let session = Peer::builder().build().unwrap().dial(server.local_addr().unwrap()).await.unwrap();
    let client = ManyClient::new(&session);
    let mut total = 0;
CALLED    println!(\"{total}\");
}
";

const TARPC: &str = "use futures_util::StreamExt;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::{client, context, serde_transport::tcp};

#[tarpc::service]
trait Many {
DECLARED}

#[derive(Clone)]
struct Own;

impl Many for Own {
IMPLEMENTED}

fn main() {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run());
}

async fn spawn(handler: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(handler);
}

async fn run() {
    let mut listener = tcp::listen(\"127.0.0.1:0\", Bincode::default).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(async move {
        while let Some(transport) = listener.next().await {
            let channel = BaseChannel::with_defaults(transport.unwrap());
            tokio::spawn(channel.execute(Own.serve()).for_each(spawn));
        }
    });
    let transport = tcp::connect(address, Bincode::default).await.unwrap();
    let client = ManyClient::new(client::Config::default(), transport).spawn();
    let mut total = 0;
CALLED    println!(\"{total}\");
}
";
