use super::*;
use crate::config::{Environment, Layers, RawConfig};
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

/// Tests wait for events, never for time; this only keeps a broken one from hanging.
const DEADLINE: Duration = Duration::from_secs(20);

fn config(changes: &[(&str, &str)]) -> Config {
    let mut pairs = vec![
        ("CAIRN_STORAGE_DATA", "/unused"),
        ("CAIRN_SERVER_LISTEN", "127.0.0.1:0"),
        ("CAIRN_SERVER_OPS_LISTEN", "127.0.0.1:0"),
    ];
    pairs.extend(changes);
    let environment = Environment::from_pairs(pairs).expect("utf-8");
    let layers = Layers::gather(RawConfig::default(), &environment, None).expect("layers");
    Config::from_layers(&layers).expect("valid")
}

/// A server whose requests wait until the test lets them go.
struct Running {
    addresses: Addresses,
    health: Health,
    metrics: Metrics,
    started: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    stop: Option<oneshot::Sender<()>>,
    hurry: Option<oneshot::Sender<()>>,
    ended: tokio::task::JoinHandle<Result<Drained, ServerError>>,
}

async fn start(config: &Config) -> Running {
    let (health, metrics) = (Health::new(), Metrics::new().expect("names differ"));
    let server = Server::bind(config, health.clone(), metrics.clone()).await.expect("bound");
    let addresses = server.addresses();
    let started = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let (stop, stopped) = oneshot::channel::<()>();
    let (hurry, hurried) = oneshot::channel::<()>();
    let service = {
        let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
        Shared(Arc::new(move |request: &Request<Incoming>| {
            let peer = request.extensions().get::<Peer>().copied();
            started.fetch_add(1, Ordering::SeqCst);
            let gate = Arc::clone(&gate);
            Box::pin(async move {
                gate.acquire().await.expect("open").forget();
                format!("{peer:?}")
            })
        }))
    };
    let until = |sender: oneshot::Receiver<()>| async {
        let _ = sender.await;
    };
    let ended = tokio::spawn(server.run_until(service, until(stopped), until(hurried)));
    Running { addresses, health, metrics, started, gate, stop: Some(stop), hurry: Some(hurry), ended }
}

type Answer = std::pin::Pin<Box<dyn Future<Output = String> + Send>>;

type Handler = dyn Fn(&Request<Incoming>) -> Answer + Send + Sync;

#[derive(Clone)]
struct Shared(Arc<Handler>);

impl Service<Request<Incoming>> for Shared {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = (self.0)(&request);
        Box::pin(async move { Ok(Response::new(Full::new(Bytes::from(answer.await)))) })
    }
}

impl Running {
    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !condition(self) {
            assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn ended(self) -> Drained {
        tokio::time::timeout(DEADLINE, self.ended).await.expect("it ends").expect("no panic").expect("no error")
    }
}

/// Sends a GET and reads until the server closes the connection.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("an answer").expect("read");
    answer
}

#[tokio::test]
async fn requests_know_their_peer_and_connections_are_counted() {
    let server = start(&config(&[])).await;
    server.gate.add_permits(1);
    let answer = get(server.addresses.s3, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("address: 127.0.0.1:"), "{answer}");
    assert!(answer.contains("transport: Plain"), "{answer}");
    let open = |server: &Running| server.metrics.render().expect("rendered").contains("cairn_connections 0\n");
    server.until("the connection's end is noticed", open).await;
}

#[tokio::test]
async fn readiness_follows_the_life_of_the_server() {
    let (health, metrics) = (Health::new(), Metrics::new().expect("names differ"));
    let server = Server::bind(&config(&[]), health, metrics).await.expect("bound");
    let ops = server.addresses().ops;
    assert!(get(ops, "/_health/live").await.starts_with("HTTP/1.1 200"), "alive while the store opens");
    assert!(get(ops, "/_health/ready").await.starts_with("HTTP/1.1 503"), "not ready while the store opens");
    drop(server);

    let server = start(&config(&[])).await;
    server.until("serving", |server| server.health.stage() == Stage::Serving).await;
    assert!(get(server.addresses.ops, "/_health/ready").await.starts_with("HTTP/1.1 200"));
    assert!(get(server.addresses.ops, "/metrics").await.contains("cairn_connections"));
}

#[tokio::test]
async fn what_is_in_flight_is_finished_and_nothing_more_is_accepted() {
    let mut server = start(&config(&[])).await;
    let request = tokio::spawn(get(server.addresses.s3, "/"));
    server.until("the request runs", |server| server.started.load(Ordering::SeqCst) == 1).await;
    drop(server.stop.take());
    server.until("draining", |server| server.health.stage() == Stage::Draining).await;
    assert!(get(server.addresses.ops, "/_health/ready").await.starts_with("HTTP/1.1 503"));
    assert!(get(server.addresses.ops, "/_health/live").await.starts_with("HTTP/1.1 200"));
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while TcpStream::connect(server.addresses.s3).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "still accepting");
    }
    server.gate.add_permits(1);
    assert!(request.await.expect("no panic").starts_with("HTTP/1.1 200"));
    assert_eq!(server.ended().await, Drained { cut_off: 0 });
}

#[tokio::test]
async fn the_grace_period_is_a_bound() {
    let mut server = start(&config(&[("CAIRN_SERVER_SHUTDOWN_GRACE_PERIOD", "20ms")])).await;
    let request = tokio::spawn(get(server.addresses.s3, "/"));
    server.until("the request runs", |server| server.started.load(Ordering::SeqCst) == 1).await;
    drop(server.stop.take());
    assert_eq!(server.ended().await, Drained { cut_off: 1 });
    assert_eq!(request.await.expect("no panic"), "", "cut off");
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_the_grace_period() {
    let mut server = start(&config(&[("CAIRN_SERVER_SHUTDOWN_GRACE_PERIOD", "1h")])).await;
    let request = tokio::spawn(get(server.addresses.s3, "/"));
    server.until("the request runs", |server| server.started.load(Ordering::SeqCst) == 1).await;
    drop((server.stop.take(), server.hurry.take()));
    assert_eq!(server.ended().await, Drained { cut_off: 1 });
    assert_eq!(request.await.expect("no panic"), "", "cut off");
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let mut server = start(&config(&[("CAIRN_SERVER_SHUTDOWN_GRACE_PERIOD", "1h")])).await;
    let _silent = TcpStream::connect(server.addresses.s3).await.expect("connected");
    let mut kept_alive = TcpStream::connect(server.addresses.s3).await.expect("connected");
    server.gate.add_permits(1);
    kept_alive.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let mut first = [0; 12];
    kept_alive.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    let both = |server: &Running| server.metrics.render().expect("rendered").contains("cairn_connections 2\n");
    server.until("both are accepted", both).await;
    drop(server.stop.take());
    assert_eq!(server.ended().await, Drained { cut_off: 0 });
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let server = start(&config(&[("CAIRN_SERVER_MAX_CONNECTIONS", "1")])).await;
    let first = tokio::spawn(get(server.addresses.s3, "/"));
    server.until("the first runs", |server| server.started.load(Ordering::SeqCst) == 1).await;
    let second = tokio::spawn(get(server.addresses.s3, "/"));
    server.gate.add_permits(1);
    assert!(first.await.expect("no panic").starts_with("HTTP/1.1 200"));
    server.until("the second runs", |server| server.started.load(Ordering::SeqCst) == 2).await;
    server.gate.add_permits(1);
    assert!(second.await.expect("no panic").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn http_2_is_understood_without_tls() {
    let server = start(&config(&[])).await;
    server.gate.add_permits(1);
    let stream = TcpStream::connect(server.addresses.s3).await.expect("connected");
    let executor = hyper_util::rt::TokioExecutor::new();
    let stream = hyper_util::rt::TokioIo::new(stream);
    let (mut client, connection) = hyper::client::conn::http2::handshake(executor, stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = Request::get("http://x/").body(Full::<Bytes>::default()).expect("a request");
    let response = client.send_request(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("127.0.0.1"));
    connection.abort();
}

#[tokio::test]
async fn a_taken_address_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = taken.local_addr().expect("bound").to_string();
    let config = config(&[("CAIRN_SERVER_LISTEN", &address)]);
    let bound = Server::bind(&config, Health::new(), Metrics::new().expect("names differ")).await;
    let error = bound.err().expect("taken").to_string();
    assert!(error.contains(&address) && error.contains("server.listen"), "{error}");
}

#[tokio::test]
async fn oversized_heads_are_refused_and_the_server_lives_on() {
    let server = start(&config(&[])).await;
    let mut stream = TcpStream::connect(server.addresses.s3).await.expect("connected");
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nx-amz-meta-a: {}\r\n\r\n", "a".repeat(1 << 20));
    // The server may close before it has read everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("closed");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    server.gate.add_permits(1);
    assert!(get(server.addresses.s3, "/").await.starts_with("HTTP/1.1 200"));
}
