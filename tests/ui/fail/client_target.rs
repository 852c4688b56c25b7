#[teleport::service]
trait Greeter {
    async fn greet(&self, name: &str) -> String;
}

fn main() {
    let _client = GreeterClient::new("127.0.0.1:9090");
}
