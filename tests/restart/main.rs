//! Restarts of real processes: under load nothing is refused and nothing is lost, and a successor that fails takes
//! nothing with it.
#![cfg(unix)]

mod load;
mod running;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;

use load::Load;
use running::Running;
use teleport::describe::{HEALTH_URI, Health, HealthState, READY_URI};

const RESTARTS: usize = 6;

/// Calls that are answered between two restarts at least.
const CALLS_BETWEEN: u64 = 300;

/// Long enough for any machine.
const IN_TIME: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_under_load_refuse_no_connection_and_lose_no_call() {
    let mut server = Running::start().await;
    let load = Load::start(&[server.tcp.clone(), server.unix_address()], 3);
    let (mut ran, mut refused) = (0, 0);
    let first = server.pid;
    for _ in 0..RESTARTS {
        load.goes_on(CALLS_BETWEEN).await;
        let old = server.restart().await;
        assert!(old.ran >= CALLS_BETWEEN && old.cut == 0, "{old:?}");
        ran += old.ran;
        refused += old.refused;
    }
    load.goes_on(CALLS_BETWEEN).await;
    assert_ne!(server.pid, first);
    server.is_served_by(server.pid).await;
    let counts = load.end().await;
    let last = server.end().await;
    assert!(!server.unix.exists(), "the last one takes the file of the socket with it");

    println!("{RESTARTS} restarts, {refused} calls refused by the servers: {counts:?}");
    assert_eq!(*counts.refused.lock(), Vec::<String>::new(), "connections that were refused");
    assert_eq!(*counts.lost.lock(), Vec::<String>::new(), "calls that may have run and have no reply");
    let answered = counts.answered.load(Ordering::SeqCst);
    assert_eq!(ran + last.ran, answered, "each call ran once");
    assert!(counts.again.load(Ordering::SeqCst) >= refused, "who was refused was told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_redial_go_through_restarts_and_their_callers_see_nothing_of_them() {
    let mut server = Running::start().await;
    let load = Load::redialing(&[server.tcp.clone(), server.unix_address()], 3).await;
    let (mut ran, mut refused) = (0, 0);
    for _ in 0..RESTARTS {
        load.goes_on(CALLS_BETWEEN).await;
        let old = server.restart().await;
        assert!(old.ran > 0 && old.cut == 0, "{old:?}");
        ran += old.ran;
        refused += old.refused;
    }
    load.goes_on(CALLS_BETWEEN).await;
    let counts = load.end().await;
    let last = server.end().await;

    println!("{RESTARTS} restarts, {refused} calls refused by the servers: {counts:?}");
    assert_eq!(*counts.lost.lock(), Vec::<String>::new(), "calls that were not answered");
    let answered = counts.answered.load(Ordering::SeqCst);
    assert_eq!(ran + last.ran, answered, "each call ran once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_fails_takes_nothing_with_it() {
    let mut server = Running::start().await;
    let pid = server.pid;
    let load = Load::start(&[server.tcp.clone(), server.unix_address()], 1);
    for (how, says) in [
        ("exits", "ended before it was ready; this process serves on: exit status: 3"),
        ("listens, then ends", "ended before it was ready; this process serves on: exit status: 0"),
        ("is not there", "can't start the successor \"/no/such/server\": "),
    ] {
        let said = server.failing(how, IN_TIME).await;
        assert!(said.contains(says), "{how}: {said}");
        server.is_served_by(pid).await;
    }
    for how in ["hangs", "listens, then hangs"] {
        let said = server.failing(how, Duration::from_millis(500)).await;
        assert!(said.contains("was not ready within 500ms (setting `Restart::ready_within`)"), "{said}");
        let hung = server.hanging().await;
        assert!(said.contains(&format!("process {hung}")), "{said}");
        #[cfg(target_os = "linux")]
        assert!(!std::path::Path::new(&format!("/proc/{hung}")).exists(), "killed, and no zombie");
        server.is_served_by(pid).await;
    }
    load.goes_on(CALLS_BETWEEN).await;
    // Now one that works.
    let old = server.restart().await;
    load.goes_on(CALLS_BETWEEN).await;
    let counts = load.end().await;
    let last = server.end().await;
    assert_eq!((old.cut, last.cut), (0, 0));
    assert_eq!(*counts.refused.lock(), Vec::<String>::new());
    assert_eq!(*counts.lost.lock(), Vec::<String>::new());
    assert_eq!(old.ran + last.ran, counts.answered.load(Ordering::SeqCst));
}

#[tokio::test]
async fn one_restart_at_a_time_and_a_successor_that_is_killed() {
    let mut server = Running::start().await;
    let (session, _client) = server.dial(&server.tcp).await;
    let first = tokio::spawn({
        let session = session.clone();
        let restart = ("listens, then hangs", u64::try_from(IN_TIME.as_millis()).unwrap());
        async move { session.pull("/restart").timeout(IN_TIME).body(&restart).await?.decode::<String>() }
    });
    let hung = server.hanging().await;
    // It listens already, and accepts nothing.
    for _ in 0..20 {
        server.is_served_by(server.pid).await;
    }
    let said = server.failing("exits", IN_TIME).await;
    assert!(said.contains("a restart is under way"), "{said}");
    server.signal(hung, Signal::KILL);
    let said = first.await.unwrap().unwrap();
    assert!(said.contains("ended before it was ready") && said.contains("signal: 9"), "{said}");
    server.is_served_by(server.pid).await;
    server.restart().await;
    server.is_served_by(server.pid).await;
    assert_eq!(server.end().await.cut, 0);
}

#[tokio::test]
async fn a_second_signal_cuts_off_what_runs() {
    let mut server = Running::start().await;
    let (session, _client) = server.dial(&server.tcp).await;
    let call = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/never").timeout(IN_TIME).await }
    });
    // Taken in their order: it has begun.
    while session.pull("/pid").await.is_ok() {
        server.signal(server.pid, Signal::INT);
        tokio::task::yield_now().await;
    }
    server.signal(server.pid, Signal::TERM);
    assert_eq!(server.ended().await.cut, 1);
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_closed() && error.may_have_run(), "{error}");
}

#[tokio::test]
async fn a_notice_begins_with_a_signal_and_ends_with_another_and_holds_no_restart_up() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restarting"));
    command.arg("127.0.0.1:0").env("TEST_NOTICE", "");
    let mut server = Running::start_with(command, |_| {}).await;
    assert_eq!(server.restart().await.cut, 0);
    let (session, _client) = server.dial(&server.tcp).await;
    assert!(session.pull(READY_URI).await.is_ok());
    server.signal(server.pid, Signal::TERM);
    while session.pull(READY_URI).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let health: Health = session.pull(HEALTH_URI).await.unwrap().decode().unwrap();
    assert_eq!(health.state, HealthState::Draining);
    server.is_served_by(server.pid).await;
    assert_eq!(server.end().await.cut, 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_successor_has_the_standard_input_of_its_predecessor() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_restarting"));
    let (input, _kept_open) = std::io::pipe().unwrap();
    command.arg("127.0.0.1:0").stdin(input);
    let mut server = Running::start_with(command, |_| {}).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (session, _client) = server.dial(&server.tcp).await;
        seen.push(session.pull("/stdin").await.unwrap().decode::<String>().unwrap());
        server.restart().await;
    }
    server.end().await;
    assert!(seen[0].starts_with("pipe:") && seen.iter().all(|one| *one == seen[0]), "{seen:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_supervisor_may_open_the_sockets_and_is_told_who_serves() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // The shell puts the socket where systemd does, and becomes the server, so its id is the server's.
    let mut command = Command::new("sh");
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 NOTIFY_SOCKET=$TEST_FOLDER/notify exec \"$@\" 3<&0 0</dev/null";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_restarting"), &address]);
    command.stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
    let mut notified = None;
    let mut server = Running::start_with(command, |folder| {
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(IN_TIME)).unwrap();
        notified = Some(socket);
    })
    .await;
    let notified = notified.unwrap();
    let state = || {
        let mut buffer = [0; 100];
        let length = notified.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(server.tcp, format!("tcp://{address}"));
    server.is_served_by(server.pid).await;
    assert_eq!(state(), format!("READY=1\nMAINPID={}\n", server.pid));
    server.restart().await;
    server.is_served_by(server.pid).await;
    assert_eq!(state(), format!("READY=1\nMAINPID={}\n", server.pid));
    server.end().await;
}
