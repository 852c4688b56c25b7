//! The program as its users run it: a process beside real peers, and what it writes.

mod bench;
mod common;
mod dump;
mod health;
mod help;
mod listen;
mod proxy;
mod pull;
mod push;
mod routes;
