//! Copies of a program that run as processes of their own, and a pipe each to talk to them.
//!
//! What is asked and answered are single lines. A copy ends with its parent: when its input ends, so does it.

use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use crate::{Error, Result};

/// A copy of this program, stopped when it is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    questions: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Program {
    /// Starts this program again, with other arguments.
    ///
    /// # Errors
    ///
    /// Where the system can't start it.
    pub fn start<S: AsRef<str>>(arguments: &[S]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().ok_or("the process has no input")?;
        let lines = BufReader::new(child.stdout.take().ok_or("the process has no output")?);
        Ok(Program { child, questions, lines })
    }

    /// The next line that it prints.
    ///
    /// # Errors
    ///
    /// Where it has ended; what it had to say about that stands on the standard error, which is shared.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            let status = self.child.wait()?;
            return Err(format!("the process ended before it answered: {status}").into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Asks a question and waits for the answer.
    ///
    /// # Errors
    ///
    /// As [`line`](Self::line).
    pub fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.questions, "{question}")?;
        self.line()
    }

    /// Asks a question whose answer is a number.
    ///
    /// # Errors
    ///
    /// As [`line`](Self::line), and where the answer is none.
    pub fn number(&mut self, question: &str) -> Result<u64> {
        let answer = self.ask(question)?;
        answer.parse().map_err(|_| format!("{question:?} was answered with {answer:?}").into())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints one line, at once.
///
/// # Errors
///
/// Where nobody reads it.
pub fn say(line: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// In a copy: says `first`, then answers each question, in a thread of its own. The process ends when the parent does.
///
/// # Errors
///
/// Where the parent is gone already.
pub fn answer_parent<A>(first: impl Display, mut answer: A) -> Result<()>
where
    A: FnMut(&str) -> Result<String> + Send + 'static,
{
    say(first)?;
    thread::spawn(move || {
        let mut question = String::new();
        let mut round = || -> Result<bool, Error> {
            question.clear();
            if io::stdin().lock().read_line(&mut question)? == 0 {
                return Ok(false);
            }
            say(answer(question.trim_end())?)?;
            Ok(true)
        };
        loop {
            match round() {
                Ok(true) => {}
                Ok(false) => std::process::exit(0),
                Err(error) => {
                    eprintln!("{error}");
                    std::process::exit(1);
                }
            }
        }
    });
    Ok(())
}
