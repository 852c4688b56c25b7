//! What both peers serve, and what is written down of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::script::Task;
use crate::codec::Plain;
use crate::context::Context;
use crate::peer::PeerBuilder;
use crate::session::Session;
use crate::status::{Code, Status};

/// How long a call of a handler may take.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const FAILED: i32 = 1000;

/// What ran.
#[derive(Default)]
pub(super) struct Record {
    /// How often, by the number of the call.
    runs: Mutex<Vec<u32>>,
    /// Handlers that run now.
    pub(super) running: AtomicUsize,
    numbers: AtomicU32,
    /// Calls whose caller was told that they did not run.
    pub(super) not_run: Mutex<Vec<u32>>,
    /// What should not have come to a handler, or back to it.
    pub(super) wrong: Mutex<Vec<String>>,
}

/// A handler that runs, until it is dropped.
struct Running(Arc<Record>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Record {
    /// The number of the next call.
    pub(super) fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn calls(&self) -> u32 {
        self.numbers.load(Ordering::SeqCst)
    }

    pub(super) fn runs(&self, number: u32) -> u32 {
        self.runs.lock().get(number as usize).copied().unwrap_or(0)
    }

    fn run(self: &Arc<Self>, number: u32) -> Running {
        let mut runs = self.runs.lock();
        let count = runs.len().max(number as usize + 1);
        runs.resize(count, 0);
        runs[number as usize] += 1;
        self.running.fetch_add(1, Ordering::SeqCst);
        Running(self.clone())
    }
}

/// A call as it travels: its number, what is to be done, and so many bytes more.
pub(super) fn order(number: u32, task: Task, size: usize) -> Vec<u8> {
    let (kind, millis) = match task {
        Task::Quick => (0, 0),
        Task::Slow(millis) => (1, millis),
        Task::Panic => (2, 0),
        Task::PanicLater(millis) => (3, millis),
        Task::Fail => (4, 0),
        Task::Back => (5, 0),
        Task::Close => (6, 0),
        Task::Abort => (7, 0),
    };
    let mut bytes = vec![filler(number); 7 + size];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4] = kind;
    bytes[5..7].copy_from_slice(&millis.to_le_bytes());
    bytes
}

fn read_order(bytes: &[u8]) -> (u32, Task, usize) {
    let number = u32::from_le_bytes(*bytes.first_chunk().expect("a number"));
    let millis = u16::from_le_bytes([bytes[5], bytes[6]]);
    let task = match bytes[4] {
        0 => Task::Quick,
        1 => Task::Slow(millis),
        2 => Task::Panic,
        3 => Task::PanicLater(millis),
        4 => Task::Fail,
        5 => Task::Back,
        6 => Task::Close,
        _ => Task::Abort,
    };
    (number, task, bytes.len() - 7)
}

fn filler(number: u32) -> u8 {
    number as u8 | 0x80
}

/// The reply to a call.
pub(super) fn answer(number: u32, size: usize) -> Vec<u8> {
    let mut bytes = vec![filler(number); 4 + size];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// What a call that fails is answered.
pub(super) fn failed(number: u32) -> Status {
    Status::new(FAILED, format!("{number} failed"))
}

pub(super) fn serve(builder: PeerBuilder, record: &Arc<Record>) -> PeerBuilder {
    let (pulled, pushed) = (record.clone(), record.clone());
    builder
        .pull_with("/do", (Plain,), move |cx: Context, body: Vec<u8>| {
            let record = pulled.clone();
            async move { run(record, cx.session().clone(), body).await }
        })
        .and_then(|builder| {
            builder.push_with("/do", (Plain,), move |cx: Context, body: Vec<u8>| {
                let record = pushed.clone();
                async move { drop(run(record, cx.session().clone(), body).await) }
            })
        })
        .expect("two routes")
}

async fn run(record: Arc<Record>, session: Session, body: Vec<u8>) -> Result<Vec<u8>, Status> {
    let (number, task, size) = read_order(&body);
    let _running = record.run(number);
    if body != order(number, task, size) {
        record.wrong.lock().push(format!("the body of call {number} came differently"));
    }
    let later = |millis: u16| tokio::time::sleep(Duration::from_millis(millis.into()));
    match task {
        Task::Quick => {}
        Task::Slow(millis) => later(millis).await,
        // Past the hook: nobody is to read of it.
        Task::Panic => std::panic::resume_unwind(Box::new("on purpose")),
        Task::PanicLater(millis) => {
            later(millis).await;
            std::panic::resume_unwind(Box::new("on purpose"))
        }
        Task::Fail => return Err(failed(number)),
        Task::Back => back(&record, &session).await,
        // Once: a call that may run again would have it end every connection, for ever.
        Task::Close | Task::Abort if record.runs(number) > 1 => {}
        Task::Close => session.start_close(),
        Task::Abort => session.abort(),
    }
    Ok(answer(number, size))
}

async fn back(record: &Record, session: &Session) {
    let number = record.number();
    let body = order(number, Task::Slow(number as u16 % 7), 10);
    let reply = session.pull("/do").codec(Plain).body(&body[..]).timeout(BACK_WITHIN).await;
    match reply {
        Ok(reply) if reply.payload() != answer(number, 10) => {
            record.wrong.lock().push(format!("the reply to call {number} of a handler came differently"));
        }
        Err(error) if !error.may_have_run() => record.not_run.lock().push(number),
        _ => {}
    }
}

/// Whether a status is what these handlers end with.
pub(super) fn is_expected(code: Code, task: Task) -> bool {
    match task {
        Task::Panic | Task::PanicLater(_) => code == Code::from(500),
        Task::Fail => code == Code::from(FAILED),
        _ => false,
    }
}
