//! One call, and how it ended.

use teleport::{Code, Delivery, Error, Session};

use super::plan::Plan;
use crate::failure::Failure;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Answered with 200, or, of a push, sent.
    Ok { received: u64 },
    /// Answered with another status.
    Status { code: i32, text: String, received: u64 },
    /// Not answered in time.
    Timeout,
    /// The connection was lost before the answer came.
    Lost,
    /// Anything else, in words.
    Other(String),
}

/// Makes a call.
///
/// # Errors
///
/// Where no call like it can ever be sent, over whatever session.
pub(super) async fn call(session: &Session, plan: &Plan) -> Result<Ended, Failure> {
    // Bodies are given away, so each call has one of its own; it is copied, not encoded again.
    let body = plan.body.clone();
    if plan.push {
        return match session.push(&plan.uri).sealed(body).await {
            Ok(()) => Ok(Ended::Ok { received: 0 }),
            Err(error) => failed(&error),
        };
    }
    match session.pull(&plan.uri).sealed(body).await {
        Ok(reply) => {
            let received = reply.body().payload().len() as u64;
            match reply.status() {
                status if status.code() == Code::OK => Ok(Ended::Ok { received }),
                status => Ok(Ended::Status {
                    code: status.code().number(),
                    text: status.text().to_owned(),
                    received,
                }),
            }
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> Result<Ended, Failure> {
    if error.is_timeout() {
        return Ok(Ended::Timeout);
    }
    if error.is_closed() || error.is_down() || error.is_io() {
        return Ok(Ended::Lost);
    }
    if let Some(status) = error.status() {
        let (code, text) = (status.code().number(), status.text().to_owned());
        return Ok(Ended::Status { code, text, received: 0 });
    }
    if error.delivery() == Some(Delivery::NotSent) {
        return Err(Failure::call(error));
    }
    Ok(Ended::Other(error.reason()))
}
