//! `no_cancel` where it says nothing.

#[teleport::service(no_cancel)]
trait Shop {
    #[push(no_cancel)]
    async fn note(&self, line: &str);
    #[pull(no_cancel = true)]
    async fn price(&self) -> Result<u32, teleport::Status>;
    #[pull(no_cancel, no_cancel)]
    async fn buy(&self) -> Result<u32, teleport::Status>;
}

fn main() {}
