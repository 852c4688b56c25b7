//! The functions that every call goes through, one by one.
//!
//! ```sh
//! cargo bench -p teleport-benches --features peers --bench hot
//! ```
//!
//! Headers, frames and codecs are measured by themselves. The route lookup and the table of pending pulls are
//! private: they are measured as what a round trip in memory takes more with many routes, and with many pulls pending.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bincode::Options;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use teleport::wire::{self, Body, Header, HeaderCodecs, Kind, Limits, PacketId};
use teleport::{
    Bincode, DecodeAny, DecodeLimits, EncodeAny, HeaderCodec, Input, Json, JsonHeader, LogCalls, LogOptions,
    Peer, ProtobufHeader, Router, Scratch,
};
use teleport_benches::payload::{Echo, bytes};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = headers, frames, codecs, round_trips, logs
}
criterion_main!(benches);

/// A pull's header, as a default client writes it.
fn header() -> Header<'static> {
    Header::new(PacketId::Text("123456".into()), Kind::PULL, "/echoing/echo")
}

fn headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    let codecs: [(&str, &dyn HeaderCodec); 2] = [("protobuf", &ProtobufHeader), ("json", &JsonHeader)];
    for (name, codec) in codecs {
        let (header, mut out) = (header(), Vec::with_capacity(256));
        group.bench_function(BenchmarkId::new("write", name), |bencher| {
            bencher.iter(|| {
                out.clear();
                codec.encode(black_box(&header), &mut out).expect("the header can be written");
            });
        });
        out.clear();
        codec.encode(&header, &mut out).expect("the header can be written");
        group.bench_function(BenchmarkId::new("read", name), |bencher| {
            bencher.iter(|| black_box(codec.decode(black_box(&out)).expect("a header")));
        });
    }
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet");
    let (codecs, limits, header) = (HeaderCodecs::default(), Limits::default(), header());
    for size in [40, 64 * 1024] {
        let payload = bytes(size);
        let body = Body::Payload { codec: b'b', payload: &payload };
        let mut packet = Vec::new();
        wire::write(&mut packet, &codecs, b'p', &header, body, &limits).expect("within the limits");
        group.bench_function(BenchmarkId::new("split", size), |bencher| {
            bencher.iter(|| black_box(wire::split(black_box(&packet), &limits).expect("a frame")));
        });
        group.bench_function(BenchmarkId::new("read", size), |bencher| {
            bencher.iter(|| black_box(wire::read(black_box(&packet), &codecs, &limits).expect("a packet")));
        });
        let mut out = Vec::with_capacity(packet.len());
        group.bench_function(BenchmarkId::new("write", size), |bencher| {
            bencher.iter(|| {
                out.clear();
                wire::write(&mut out, &codecs, b'p', black_box(&header), body, &limits)
                    .expect("within the limits");
            });
        });
    }
    group.finish();
}

/// The codec that the id of a body chooses, beside the library under it with no bounds on what is decoded.
fn codecs(criterion: &mut Criterion) {
    type Both = (Bincode, Json);
    let (echo, limits) = (Echo::sample(1), DecodeLimits::default());
    let mut group = criterion.benchmark_group("codec");
    for (name, id) in [("bincode", b'b'), ("json", b'j')] {
        let mut body = Vec::new();
        group.bench_function(BenchmarkId::new("encode by id", name), |bencher| {
            bencher.iter(|| {
                body.clear();
                <Both as EncodeAny<Echo>>::encode(black_box(id), black_box(&echo), &mut body)
                    .expect("a plain struct");
            });
        });
        group.bench_function(BenchmarkId::new("decode by id", name), |bencher| {
            bencher.iter(|| {
                let scratch = Scratch::default();
                let input = Input::new(black_box(&body), &limits, &scratch);
                let decoded: Result<Echo, _> = <Both as DecodeAny<'_, Echo>>::decode(black_box(id), input);
                decoded.expect("the struct")
            });
        });
        group.bench_function(BenchmarkId::new("decode, the library alone", name), |bencher| {
            bencher.iter(|| -> Echo {
                let body = black_box(&body);
                match id {
                    b'b' => bincode::DefaultOptions::new().deserialize(body).expect("the struct"),
                    _ => serde_json::from_slice(body).expect("the struct"),
                }
            });
        });
    }
    group.finish();
}

#[teleport::service(codec = bincode)]
trait Adding {
    async fn add(&self, a: u64, b: u64) -> u64;
    /// Waits for ever.
    async fn wait(&self, n: u64) -> u64;
}

struct Sum;

impl Adding for Sum {
    async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }

    async fn wait(&self, n: u64) -> u64 {
        std::future::pending::<()>().await;
        n
    }
}

/// One call after the other between two peers of one thread, in memory.
fn round_trips(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round trip in memory");
    for routes in [2, 1000] {
        let runtime = runtime();
        let (_peers, adding) = runtime.block_on(connect(routes));
        group.bench_function(BenchmarkId::new("routes", routes), |bencher| {
            bencher.iter_custom(|calls| runtime.block_on(timed(&adding, calls)));
        });
    }
    for pending in [0, 1000] {
        let runtime = runtime();
        let (_peers, adding) = runtime.block_on(connect(2));
        let mut waiting: Vec<_> = (0..pending).map(|n| adding.wait(n).no_timeout()).collect();
        runtime.block_on(poll_fn(|cx| {
            // None is ready: their handlers wait.
            Poll::Ready(waiting.iter_mut().all(|call| Pin::new(call).poll(cx).is_pending()))
        }));
        group.bench_function(BenchmarkId::new("pulls pending", pending), |bencher| {
            bencher.iter_custom(|calls| runtime.block_on(timed(&adding, calls)));
        });
    }
    group.finish();
}

/// What the log of a call costs, both ends together: the same round trips as above, with more and more listening.
fn logs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log of calls");
    let default = LogOptions::default();
    for (name, options, filter) in [
        ("off by setting", default.clone().with_calls(LogCalls::Off), None),
        ("nobody listens", default.clone(), None),
        ("filtered by level", default.clone(), Some("teleport=warn")),
        ("filtered by target", default.clone(), Some("info,teleport::calls=off")),
        ("slow ones alone, none is", default.clone().with_slow(Duration::from_secs(60)), Some("warn")),
        ("written as text", default.clone(), Some("info")),
        ("written as text, with bodies", default.clone().with_bodies(true), Some("info")),
    ] {
        // To nowhere: what a terminal or a disk takes is not this library's.
        let writer = |filter| tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::sink);
        let _guard = filter.map(|filter| writer(EnvFilter::new(filter)).set_default());
        let runtime = runtime();
        let (_peers, adding) = runtime.block_on(connect_with(2, options));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| runtime.block_on(timed(&adding, calls)));
        });
    }
    group.finish();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn connect(routes: usize) -> ((Peer, Peer), AddingClient) {
    connect_with(routes, LogOptions::default()).await
}

async fn connect_with(routes: usize, logs: LogOptions) -> ((Peer, Peer), AddingClient) {
    let mut router = Router::new();
    router.service(AddingServer::new(Sum)).expect("the first");
    for n in 2..routes {
        router.pull(&format!("/other/route_{n}"), |_, ()| async { Ok(()) }).expect("each once");
    }
    let server = Peer::builder().router(router).and_then(|builder| builder.logs(logs.clone()).build());
    let server = server.expect("a peer");
    let client = Peer::builder().logs(logs).build().expect("a peer");
    let session = client.connect(&server).await.expect("a session");
    ((server, client), AddingClient::new(&session))
}

async fn timed(adding: &AddingClient, calls: u64) -> Duration {
    let began = Instant::now();
    for n in 0..calls {
        assert_eq!(adding.add(n, 1).await.expect("a reply"), n + 1);
    }
    began.elapsed()
}
