//! A server that the tests of restarts start, and restart. It tells what it does in lines.

#[cfg(unix)]
fn main() {
    unix::main();
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use std::process::Command;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use teleport::{Peer, Restart, Status};

    /// `server <tcp address> <path of a unix socket> [how to fail]`
    #[tokio::main(worker_threads = 2)]
    pub(super) async fn main() {
        let pid = std::process::id();
        let inherited = Restart::inherit().expect("what was handed over can be taken");
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let failure = arguments.get(2).map(String::as_str);
        match failure {
            Some("exits") => std::process::exit(3),
            Some("hangs") => {
                println!("hangs {pid}");
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let (ran, this) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::new()));
        let peer = build(&ran, &this);
        peer.listen(&arguments[0]).await.expect("the address is free or inherited");
        peer.listen(format!("unix://{}", arguments[1])).await.expect("the path is free or inherited");
        assert!(this.set(peer.clone()).is_ok());
        match failure {
            Some("listens, then ends") => return,
            Some("listens, then hangs") => {
                println!("hangs {pid}");
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let mut end = peer.until_signal().within(Duration::from_secs(30)).restart(Restart::new());
        if std::env::var_os("TEST_NOTICE").is_some() {
            end = end.notice(Duration::from_secs(3600));
        }
        Restart::ready().await.expect("the predecessor waits");
        println!("ready {pid} {} {inherited}", peer.local_addr().expect("it listens"));
        let report = end.await.expect("signals can be caught");
        let ran = ran.load(Ordering::SeqCst);
        println!("ended {pid} {ran} {} {}", report.cut_count, report.refused);
    }

    fn build(ran: &Arc<AtomicU64>, this: &Arc<OnceLock<Peer>>) -> Peer {
        let (ran, this) = (ran.clone(), this.clone());
        Peer::builder()
            .health()
            .pull("/work", move |_, n: u64| {
                ran.fetch_add(1, Ordering::SeqCst);
                async move {
                    // Some are ready at once, the others are in flight for a while.
                    if !n.is_multiple_of(4) {
                        tokio::time::sleep(Duration::from_millis(n % 4)).await;
                    }
                    Ok(n)
                }
            })
            .and_then(|it| it.pull("/pid", |_, ()| async { Ok(std::process::id()) }))
            .and_then(|it| it.pull("/never", |_, ()| std::future::pending::<Result<(), Status>>()))
            .and_then(|it| {
                it.pull("/stdin", |_, ()| async {
                    std::fs::read_link("/proc/self/fd/0").map_err(|error| Status::internal(error.to_string()))
                })
            })
            .and_then(|it| {
                it.pull("/restart", move |_, (failure, millis): (String, u64)| {
                    let this = this.clone();
                    async move {
                        let restart =
                            Restart::new().ready_within(Duration::from_millis(millis)).command(move || {
                                if failure == "is not there" {
                                    return Command::new("/no/such/server");
                                }
                                let mut command = Command::new(std::env::current_exe().expect("a program"));
                                command.args(std::env::args().skip(1)).arg(&failure);
                                command
                            });
                        let peer = this.get().expect("it serves");
                        match restart.hand_over([peer]).await {
                            Ok(successor) => Ok(format!("{} took over", successor.pid())),
                            Err(error) => Ok(error.to_string()),
                        }
                    }
                })
            })
            .and_then(|it| it.build())
            .expect("a peer")
    }
}
