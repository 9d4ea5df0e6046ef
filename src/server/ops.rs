//! The operations listener: health for probes, metrics for Prometheus. Plain HTTP/1.1, apart from the S3 port so
//! that it can stay inside the network and answers while S3 is busy, starts or drains.

use super::health::{Health, health_response};
use super::listener::accept;
use crate::telemetry::metrics::Metrics;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Probes and scrapers are few; what comes beyond this number waits.
const MAX_CONNECTIONS: usize = 128;
/// A probe asks at once.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// Prometheus' exposition format.
const METRICS_TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

const NOT_FOUND: &str = "This is Cairn's operations listener: /_health/live /_health/ready /metrics\n\
                         S3 is served on the other port.\n";

/// Answers until it is dropped; open connections end with it.
pub(super) async fn serve(listener: TcpListener, health: Health, metrics: Metrics) {
    let mut connections = JoinSet::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT).max_buf_size(64 << 10);
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let (socket, _) = accept(&listener, &metrics).await;
        let (health, metrics) = (health.clone(), metrics.clone());
        let answer = service_fn(move |request: Request<Incoming>| {
            let answer = answer(request.method(), request.uri().path(), &health, &metrics);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http.serve_connection(TokioIo::new(socket), answer);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "operations connection ended");
            }
        });
    }
}

fn answer(method: &Method, path: &str, health: &Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, PLAIN_TEXT, Bytes::from_static(b"GET or HEAD\n"));
    }
    if let Some((status, word)) = health_response(path, health) {
        return text(status, PLAIN_TEXT, Bytes::from_static(word.as_bytes()));
    }
    match path {
        "/metrics" | "/_metrics" => match metrics.render() {
            Ok(rendered) => text(StatusCode::OK, METRICS_TEXT, rendered.into()),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be rendered");
                text(StatusCode::INTERNAL_SERVER_ERROR, PLAIN_TEXT, Bytes::from_static(b"see the log\n"))
            }
        },
        _ => text(StatusCode::NOT_FOUND, PLAIN_TEXT, Bytes::from_static(NOT_FOUND.as_bytes())),
    }
}

fn text(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &Method, path: &str) -> u16 {
        answer(method, path, &Health::new(), &Metrics::new().expect("names differ")).status().as_u16()
    }

    #[test]
    fn probes_and_scrapers_are_answered_and_others_are_told_where_they_are() {
        for (path, expected) in [
            ("/_health/live", 200),
            ("/_health/ready", 503),
            ("/minio/health/live", 200),
            ("/metrics", 200),
            ("/_metrics", 200),
            ("/", 404),
            ("/bucket/key", 404),
        ] {
            assert_eq!(status(&Method::GET, path), expected, "{path}");
        }
        assert_eq!(status(&Method::HEAD, "/_health/live"), 200);
        assert_eq!(status(&Method::PUT, "/_health/live"), 405);
    }
}
