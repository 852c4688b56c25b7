//! A handler's calls with their types, behind a face without them.
//!
//! A program has a copy of what is here for every method that it serves, so it is no more than what needs the types:
//! making the future of a call, polling it, and writing its value. All else is in [`super::handler`].

use std::any::TypeId;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use crate::buffer;
use crate::codec::EncodeAny;
use crate::context::{Answer, Context, ReplyBody, Wishes};
use crate::status::Status;

/// A place for the future of a handler's call, used for one call after the other.
pub(super) trait Slot: Send {
    /// An empty slot of the same handler.
    fn another(&self) -> Pin<Box<dyn Slot>>;

    /// Makes the future of a call.
    fn begin(self: Pin<&mut Self>, cx: Context);

    /// Polls it. Where it ends, puts what it has answered into `answer`, which stays there where a panic comes behind
    /// it.
    fn poll(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
        codec: ReplyCodec<'_>,
        answer: &mut Option<Answer>,
    ) -> Poll<()>;
}

/// Which codec a reply is to be written in.
#[derive(Clone, Copy)]
pub(super) struct ReplyCodec<'a> {
    /// That of the pull, 0 where it had no body.
    pub(super) pull: u8,
    pub(super) wishes: &'a Wishes,
}

impl ReplyCodec<'_> {
    /// The codec of an answer, which is one of `ids`: the handler's wish, else that of its pull, else the first.
    pub(super) fn of(self, ids: &[u8]) -> Result<u8, Answer> {
        match self.wishes.codec() {
            Some(wish) if !ids.contains(&wish) => Err(unlisted(wish)),
            Some(wish) => Ok(wish),
            None if ids.contains(&self.pull) => Ok(self.pull),
            None => Ok(ids.first().copied().unwrap_or_default()),
        }
    }
}

#[cold]
fn unlisted(codec: u8) -> Answer {
    let codec = char::from(codec);
    let text =
        format!("the handler set the codec {codec:?} for its reply, which is none of those that it lists");
    Answer::Failed(Status::internal(text))
}

/// How the value `T` that a handler answers with becomes a body.
pub(super) trait Write<T>: 'static {
    /// The body. Nobody asks for the value once more.
    fn write(value: &mut T, codec: ReplyCodec<'_>) -> Answer;
}

/// A slot of a handler whose calls `make` makes of what it serves and a context, and whose value is written as `W` says.
pub(super) fn slot<S, H, F, T, W>(served: Arc<S>, make: H) -> Pin<Box<dyn Slot>>
where
    S: Send + Sync + 'static,
    H: Fn(Arc<S>, Context) -> F + Copy + Send + 'static,
    F: Future<Output = Result<T, Status>> + Send + 'static,
    T: 'static,
    W: Write<T>,
{
    Box::pin(Typed { served, make, future: None, write: PhantomData::<fn() -> W> })
}

pin_project! {
    struct Typed<S, H, F, W> {
        served: Arc<S>,
        make: H,
        #[pin]
        future: Option<F>,
        write: PhantomData<fn() -> W>,
    }
}

impl<S, H, F, T, W> Slot for Typed<S, H, F, W>
where
    S: Send + Sync + 'static,
    H: Fn(Arc<S>, Context) -> F + Copy + Send + 'static,
    F: Future<Output = Result<T, Status>> + Send + 'static,
    T: 'static,
    W: Write<T>,
{
    fn another(&self) -> Pin<Box<dyn Slot>> {
        slot::<S, H, F, T, W>(self.served.clone(), self.make)
    }

    fn begin(self: Pin<&mut Self>, cx: Context) {
        let mut this = self.project();
        this.future.set(Some((this.make)(this.served.clone(), cx)));
    }

    fn poll(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
        codec: ReplyCodec<'_>,
        answer: &mut Option<Answer>,
    ) -> Poll<()> {
        let Some(future) = self.project().future.as_pin_mut() else { return Poll::Pending };
        match future.poll(task) {
            Poll::Ready(outcome) => {
                answer_with::<T, W>(outcome, codec, answer);
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The same for all methods that answer with the same type.
fn answer_with<T, W: Write<T>>(
    outcome: Result<T, Status>,
    codec: ReplyCodec<'_>,
    answer: &mut Option<Answer>,
) {
    match outcome {
        // The value is dropped behind it.
        Ok(mut value) => *answer = Some(W::write(&mut value, codec)),
        Err(status) => *answer = Some(Answer::Failed(status)),
    }
}

/// A value of a typed handler, written with the one of the codecs `L` that its pull came in.
pub(super) struct Listed<L>(PhantomData<L>);

impl<L: EncodeAny<T>, T: 'static> Write<T> for Listed<L> {
    fn write(value: &mut T, codec: ReplyCodec<'_>) -> Answer {
        // A handler that returns nothing answers with no body.
        if TypeId::of::<T>() == TypeId::of::<()>() {
            return Answer::Nothing;
        }
        let codec = match codec.of(L::IDS) {
            Ok(codec) => codec,
            Err(unlisted) => return unlisted,
        };
        let mut payload = buffer::take();
        let written = L::encode(codec, value, &mut payload);
        Answer::written(codec, payload, written)
    }
}

/// A body that the handler chose itself.
pub(super) struct Chosen;

impl Write<ReplyBody> for Chosen {
    fn write(value: &mut ReplyBody, _: ReplyCodec<'_>) -> Answer {
        std::mem::take(value).into_answer()
    }
}

/// Nothing, as of a push.
pub(super) struct Nothing;

impl Write<()> for Nothing {
    fn write((): &mut (), _: ReplyCodec<'_>) -> Answer {
        Answer::Nothing
    }
}
