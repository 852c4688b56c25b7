//! An option that is misspelt, or belongs elsewhere.

#[teleport::service(timout = "5s", uri = "/x", colour = 3)]
pub trait Arith {
    #[pull(prefix = "/v1", url = "/x")]
    async fn mul(&self, a: i64) -> i64;
    #[push(codex = json)]
    async fn log(&self, line: &str);
}

fn main() {}
