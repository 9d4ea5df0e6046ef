//! A line of an access log, in Amazon's format: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>

use core::net::IpAddr;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Bytes that are kept of what a client chose: of the Request-URI and the key, and of each of its other headers.
const MAX_URI_BYTES: usize = 8 << 10;
const MAX_HEADER_BYTES: usize = 1 << 10;

/// What a line tells. `None`, and what is empty, is written as `-`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line<'a> {
    /// The canonical id of the bucket's owner.
    pub bucket_owner: &'a str,
    /// The bucket's name.
    pub bucket: &'a str,
    /// When the request came, in milliseconds since 1970.
    pub time: i64,
    /// The other end's address.
    pub remote_ip: Option<IpAddr>,
    /// The canonical id of an account's root, the ARN of any other identity.
    pub requester: Option<&'a str>,
    /// The request's id.
    pub request_id: &'a str,
    /// As [`super::operation`] names it.
    pub operation: &'a str,
    /// The key, as it is; it is written URL-encoded.
    pub key: Option<&'a str>,
    /// The Request-URI.
    pub request: Option<Requested<'a>>,
    /// The answer's status; 0, and then written as `-`, where there was no request.
    pub status: u16,
    /// The error's code.
    pub error_code: Option<&'a str>,
    /// Bytes of the answer's body.
    pub bytes_sent: u64,
    /// The whole object's length.
    pub object_size: Option<u64>,
    /// Milliseconds from the request's head to the answer's last byte.
    pub total_time: Option<u64>,
    /// Milliseconds from the request's last byte to the answer's first.
    pub turn_around_time: Option<u64>,
    /// The header.
    pub referer: Option<&'a str>,
    /// The header.
    pub user_agent: Option<&'a str>,
    /// The version that the request names.
    pub version_id: Option<&'a str>,
    /// `x-amz-id-2`.
    pub host_id: &'a str,
    /// `SigV4` or `SigV2`.
    pub signature_version: Option<&'a str>,
    /// As OpenSSL names it; see [`cipher_suite`].
    pub cipher_suite: Option<&'a str>,
    /// `AuthHeader` or `QueryString`.
    pub authentication_type: Option<&'a str>,
    /// The header.
    pub host_header: Option<&'a str>,
    /// `TLSv1.3`
    pub tls_version: Option<&'a str>,
    /// Whether the request was allowed by an access control list alone.
    pub acl_required: bool,
}

/// A request's first line, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Requested<'a> {
    /// The method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// `HTTP/1.1`
    pub protocol: &'a str,
}

impl Line<'_> {
    /// The line, with its end. The last two fields that Amazon may write, the access point and the region that the
    /// request came from, are never known here; they are `-`.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(640);
        let time = Timestamp::from_millisecond(self.time).unwrap_or_default();
        out.push_str(self.bucket_owner);
        field(&mut out, Some(self.bucket));
        moment(&mut out, time);
        address(&mut out, self.remote_ip);
        field(&mut out, self.requester);
        plain(&mut out, self.request_id);
        field(&mut out, Some(self.operation));
        key(&mut out, self.key);
        requested(&mut out, self.request);
        number(&mut out, Some(u64::from(self.status)).filter(|status| *status > 0));
        field(&mut out, self.error_code);
        number(&mut out, Some(self.bytes_sent).filter(|sent| *sent > 0));
        number(&mut out, self.object_size);
        number(&mut out, self.total_time);
        number(&mut out, self.turn_around_time);
        // A header that is missing is a quoted dash.
        quoted(&mut out, self.referer.unwrap_or("-"));
        quoted(&mut out, self.user_agent.unwrap_or("-"));
        field(&mut out, self.version_id);
        plain(&mut out, self.host_id);
        plain(&mut out, self.signature_version.unwrap_or_default());
        field(&mut out, self.cipher_suite);
        plain(&mut out, self.authentication_type.unwrap_or_default());
        field(&mut out, self.host_header);
        field(&mut out, self.tls_version);
        field(&mut out, None);
        field(&mut out, self.acl_required.then_some("Yes"));
        field(&mut out, None);
        out.push('\n');
        out
    }
}

/// `[06/Feb/2019:00:00:38 +0000]`, without the detour of a format that is read for each line.
fn moment(out: &mut String, time: Timestamp) {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = TimeZone::UTC.to_datetime(time);
    let month = usize::try_from(at.month() - 1).ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or("-");
    out.push_str(" [");
    two_digits(out, at.day());
    out.push('/');
    out.push_str(month);
    out.push('/');
    // jiff's years are of at most four digits.
    for pair in [at.year() / 100, at.year() % 100] {
        two_digits(out, i8::try_from(pair).unwrap_or_default());
    }
    for part in [at.hour(), at.minute(), at.second()] {
        out.push(':');
        two_digits(out, part);
    }
    out.push_str(" +0000]");
}

fn two_digits(out: &mut String, number: i8) {
    let digit = |number: i8| char::from(b'0' + number.rem_euclid(10).unsigned_abs());
    out.push(digit(number / 10));
    out.push(digit(number));
}

fn number(out: &mut String, value: Option<u64>) {
    out.push(' ');
    match value {
        Some(value) => digits(out, value),
        None => out.push('-'),
    }
}

fn digits(out: &mut String, number: u64) {
    if number >= 10 {
        digits(out, number / 10);
    }
    // What is left of a division by ten.
    out.push(char::from(b'0' + u8::try_from(number % 10).unwrap_or_default()));
}

fn address(out: &mut String, address: Option<IpAddr>) {
    match address {
        None => out.push_str(" -"),
        Some(IpAddr::V4(address)) => {
            for (number, octet) in address.octets().into_iter().enumerate() {
                out.push(if number == 0 { ' ' } else { '.' });
                digits(out, u64::from(octet));
            }
        }
        // Writing to a String cannot fail.
        Some(IpAddr::V6(address)) => drop(write!(out, " {address}")),
    }
}

/// A field without quotes: what would end it, or the line, or make it look like one in quotes or brackets, is
/// percent-encoded.
fn field(out: &mut String, text: Option<&str>) {
    out.push(' ');
    match text.filter(|text| !text.is_empty()) {
        None => out.push('-'),
        Some(text) => {
            encoded(out, text, MAX_HEADER_BYTES, |byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'['));
        }
    }
}

/// A field in our own words, in which nothing needs encoding.
fn plain(out: &mut String, text: &str) {
    out.push(' ');
    out.push_str(if text.is_empty() { "-" } else { text });
}

/// A field in quotes. A quote within, and whatever is no printable ASCII, is percent-encoded, so that the next quote is
/// the field's end.
fn quoted(out: &mut String, text: &str) {
    out.push_str(" \"");
    encoded(out, text, MAX_HEADER_BYTES, stays_in_quotes);
    out.push('"');
}

fn stays_in_quotes(byte: u8) -> bool {
    (byte.is_ascii_graphic() && byte != b'"') || byte == b' '
}

/// As [`quoted`], a request's first line.
fn requested(out: &mut String, requested: Option<Requested<'_>>) {
    let Some(Requested { method, target, protocol }) = requested else {
        out.push_str(" -");
        return;
    };
    out.push_str(" \"");
    encoded(out, method, MAX_HEADER_BYTES, stays_in_quotes);
    out.push(' ');
    encoded(out, target, MAX_URI_BYTES, stays_in_quotes);
    out.push(' ');
    out.push_str(protocol);
    out.push('"');
}

/// The key, URL-encoded.
fn key(out: &mut String, key: Option<&str>) {
    out.push(' ');
    match key.filter(|key| !key.is_empty()) {
        None => out.push('-'),
        Some(key) => encoded(out, key, MAX_URI_BYTES, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/')
        }),
    }
}

fn encoded(out: &mut String, text: &str, limit: usize, stays: impl Fn(u8) -> bool) {
    // All of them, so that many are looked at at a time.
    if text.len() <= limit && text.bytes().fold(true, |all, byte| all & stays(byte)) {
        // What is nearly always so, at the cost of one copy.
        out.push_str(text);
        return;
    }
    for byte in text.bytes().take(limit) {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// A cipher suite as OpenSSL, and so Amazon, names it, by its name in the standards.
#[must_use]
pub fn cipher_suite(standard: &str) -> String {
    if let Some(suite) = standard.strip_prefix("TLS13_") {
        return format!("TLS_{suite}");
    }
    let Some((exchange, cipher)) = standard.strip_prefix("TLS_").and_then(|rest| rest.split_once("_WITH_")) else {
        return standard.to_owned();
    };
    let cipher = cipher.replace("AES_128", "AES128").replace("AES_256", "AES256").replace('_', "-");
    let cipher = cipher.strip_suffix("-SHA256").filter(|rest| rest.contains("CHACHA20")).unwrap_or(&cipher);
    format!("{}-{cipher}", exchange.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWNER: &str = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";

    fn requested<'a>(method: &'a str, target: &'a str) -> Requested<'a> {
        Requested { method, target, protocol: "HTTP/1.1" }
    }

    #[test]
    fn numbers_and_addresses_are_written_as_everywhere() {
        for value in [0, 9, 10, 99, 100, 65_535, u64::MAX] {
            let mut out = String::new();
            number(&mut out, Some(value));
            assert_eq!(out, format!(" {value}"));
        }
        for text in ["0.0.0.0", "10.1.200.255", "::1", "2001:db8::1:0:0:1"] {
            let mut out = String::new();
            address(&mut out, text.parse().ok());
            assert_eq!(out, format!(" {text}"));
        }
    }

    #[test]
    fn the_documentations_examples() {
        // The last one is of a bucket without a request from an access point; the region at the end is not known here.
        let base = Line {
            bucket_owner: OWNER,
            bucket: "amzn-s3-demo-bucket1",
            // 06/Feb/2019:00:00:38
            time: 1_549_411_238_000,
            remote_ip: Some(IpAddr::from([192, 0, 2, 3])),
            requester: Some(OWNER),
            status: 200,
            user_agent: Some("S3Console/0.4"),
            signature_version: Some("SigV4"),
            cipher_suite: Some("ECDHE-RSA-AES128-GCM-SHA256"),
            authentication_type: Some("AuthHeader"),
            host_header: Some("amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com"),
            tls_version: Some("TLSv1.2"),
            ..Line::default()
        };
        let policy = Line {
            request_id: "A1206F460EXAMPLE",
            operation: "REST.GET.BUCKETPOLICY",
            request: Some(requested("GET", "/amzn-s3-demo-bucket1?policy")),
            status: 404,
            error_code: Some("NoSuchBucketPolicy"),
            bytes_sent: 297,
            total_time: Some(38),
            host_id: "BNaBsXZQQDbssi6xMBdBU2sLt+Yf5kZDmeBUP35sFoKa3sLLeMC78iwEIWxs99CRUrbS4n11234=",
            acl_required: true,
            ..base
        };
        assert_eq!(
            policy.render(),
            format!(
                "{OWNER} amzn-s3-demo-bucket1 [06/Feb/2019:00:00:38 +0000] 192.0.2.3 {OWNER} A1206F460EXAMPLE \
                 REST.GET.BUCKETPOLICY - \"GET /amzn-s3-demo-bucket1?policy HTTP/1.1\" 404 NoSuchBucketPolicy 297 - 38 \
                 - \"-\" \"S3Console/0.4\" - \
                 BNaBsXZQQDbssi6xMBdBU2sLt+Yf5kZDmeBUP35sFoKa3sLLeMC78iwEIWxs99CRUrbS4n11234= SigV4 \
                 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com TLSv1.2 - Yes \
                 -\n"
            )
        );
        let put = Line {
            request_id: "DD6CC733AEXAMPLE",
            operation: "REST.PUT.OBJECT",
            key: Some("s3-dg.pdf"),
            request: Some(requested("PUT", "/amzn-s3-demo-bucket1/s3-dg.pdf")),
            object_size: Some(4_406_583),
            total_time: Some(41_754),
            turn_around_time: Some(28),
            host_id: "10S62Zv81kBW7BB6SX4XJ48o6kpcl6LPwEoizZQQxJd5qDSCTLX0TgS37kYUBKQW3+bPdrg1234=",
            ..base
        };
        assert!(
            put.render().contains(
                " DD6CC733AEXAMPLE REST.PUT.OBJECT s3-dg.pdf \"PUT /amzn-s3-demo-bucket1/s3-dg.pdf HTTP/1.1\" 200 - - \
                 4406583 41754 28 \"-\" \"S3Console/0.4\" - 10S6"
            ),
            "{}",
            put.render()
        );
    }

    #[test]
    fn suites_have_openssls_names() {
        for (standard, openssl) in [
            ("TLS13_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ] {
            assert_eq!(cipher_suite(standard), openssl);
        }
    }

    /// The fields of a line, as readers split it.
    fn fields(line: &str) -> Vec<String> {
        let (mut fields, mut rest) = (Vec::new(), line.strip_suffix('\n').expect("a line's end"));
        while !rest.is_empty() {
            let end = match rest.as_bytes().first() {
                Some(b'"') => rest.get(1..).and_then(|text| text.find('"')).map(|at| at + 2),
                Some(b'[') => rest.find(']').map(|at| at + 1),
                _ => rest.find(' '),
            };
            let (field, after) = rest.split_at(end.unwrap_or(rest.len()));
            fields.push(field.to_owned());
            rest = after.strip_prefix(' ').unwrap_or(after);
        }
        fields
    }

    proptest! {
        /// Whatever clients send, a line is one line of 27 fields within bounds.
        #[test]
        fn nobody_forges_a_field(uri in ".{0,200}", key in ".{0,100}", agent in ".{0,2000}", host in ".{0,100}", code in "[A-Za-z]{0,20}") {
            let line = Line {
                bucket_owner: OWNER,
                bucket: "b",
                request_id: "R",
                operation: "REST.GET.OBJECT",
                key: Some(&key),
                request: Some(requested("GET", &uri)),
                error_code: Some(&code),
                referer: Some(&agent),
                user_agent: Some(&agent),
                host_id: "H",
                host_header: Some(&host),
                ..Line::default()
            };
            let text = line.render();
            prop_assert_eq!(text.matches('\n').count(), 1);
            prop_assert!(text.is_ascii());
            let fields = fields(&text);
            prop_assert_eq!(fields.len(), 27, "{:?}", fields);
            prop_assert_eq!(&fields[1], "b");
            prop_assert_eq!(&fields[17], "-");
        }
    }
}
