//! A form on the wire: its fields in memory, its file as a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;
use http::{HeaderMap, header};
use s3s::Body;
use s3s_multipart::{Boundary, Error, Multipart, PartDataStream, parse_content_disposition};

use crate::protocol::error::Failure;
use crate::rules::Refusal;
use crate::rules::post_form::{Form, Sizes, missing_file};

/// All of a form before its file: fields, their names and headers.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>
const MAX_BYTES: usize = 20 << 10;
/// What each field is counted with beside its name and value: the boundary and the words around it. It bounds the
/// number of fields, too.
const FIELD_BYTES: usize = 32;
/// The head of one part.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// The request's body.
type Source = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send + Sync>>;

/// Reads a form.
pub(super) struct Reader {
    parts: Multipart<Source>,
    read: usize,
}

/// The file of a form, of which nothing has been read.
pub(super) struct Upload {
    /// As the browser names it; empty if it does not.
    pub file_name: String,
    data: PartDataStream<Source>,
}

impl Upload {
    /// The file, which fails when it is found to be too large or too small.
    pub(super) fn limited(self, sizes: Sizes) -> Limited {
        Limited { data: self.data, sizes, read: 0, ended: false }
    }
}

impl Reader {
    /// Reads the form in `body`, whose boundary is in `headers`.
    ///
    /// # Errors
    /// `MalformedPOSTRequest` without a boundary.
    pub(super) fn new(headers: &HeaderMap, body: Body) -> Result<Self, Failure> {
        let boundary = boundary(headers).and_then(|text| Boundary::new(text.as_bytes()).ok()).ok_or_else(malformed)?;
        let source: Source = Box::pin(body.map(|piece| piece.map_err(Error::stream_read_failed)));
        Ok(Self { parts: Multipart::new(source, &boundary, MAX_HEAD_BYTES), read: 0 })
    }

    /// The fields before the file, and the file. What comes after it does not count.
    ///
    /// # Errors
    /// `MalformedPOSTRequest`, `InvalidArgument`, `MaxPostPreDataLengthExceeded`, `IncompleteBody`.
    pub(super) async fn read(mut self) -> Result<(Form, Upload), Failure> {
        let mut form = Form::default();
        loop {
            let Some(mut part) = self.parts.next_part().await.map_err(|error| refused(&error))? else {
                return Err(missing_file().into());
            };
            let (mut name, mut file_name) = (None, None);
            while let Some(head) = part.next_header().await.map_err(|error| refused(&error))? {
                self.read += head.name.len() + head.value.len();
                if head.name.eq_ignore_ascii_case("content-disposition") {
                    let disposition = parse_content_disposition(head.value).ok_or_else(malformed)?;
                    name = disposition.name.map(text).transpose()?;
                    file_name = disposition.file_name.map(text).transpose()?;
                }
            }
            let name = name.ok_or_else(malformed)?;
            if name.eq_ignore_ascii_case("file") {
                let data = part.take_data_stream().map_err(|error| refused(&error))?;
                return Ok((form, Upload { file_name: file_name.unwrap_or_default(), data }));
            }
            self.read += FIELD_BYTES;
            let mut value = Vec::new();
            while let Some(piece) = part.next_data().await.map_err(|error| refused(&error))? {
                if self.read + value.len() + piece.len() > MAX_BYTES {
                    return Err(Failure::new("MaxPostPreDataLengthExceeded"));
                }
                value.extend_from_slice(&piece);
            }
            self.read += value.len();
            if self.read > MAX_BYTES {
                return Err(Failure::new("MaxPostPreDataLengthExceeded"));
            }
            form.add(&name, text(&value)?)?;
        }
    }
}

/// The `boundary` of the content type. No boundary has a semicolon or a quotation mark (RFC 2046, section 5.1.1).
fn boundary(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    kind.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })
}

fn text(bytes: &[u8]) -> Result<String, Failure> {
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed())
}

fn malformed() -> Failure {
    Failure::new("MalformedPOSTRequest")
}

/// A form that cannot be read. What is not the form's fault is a connection that broke off.
fn refused(error: &Error) -> Failure {
    match error {
        Error::StreamReadFailed(_) | Error::IncompleteStreamPart | Error::IncompleteStream => {
            Failure::new("IncompleteBody")
        }
        Error::HeaderSizeExceeded { .. } => Failure::new("MaxPostPreDataLengthExceeded"),
        _ => malformed(),
    }
}

/// Why a form's file ended before its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::protocol) enum FileError {
    /// It is not as large as the policy says.
    #[error("{0}")]
    Size(Refusal),
    /// The form cannot be read.
    #[error("the form cannot be read: {0}")]
    Form(#[from] Error),
}

impl FileError {
    /// What the client is told.
    pub(in crate::protocol) fn failure(&self) -> Failure {
        match self {
            Self::Size(refusal) => refusal.clone().into(),
            Self::Form(_) => Failure::new("IncompleteBody"),
        }
    }
}

/// A form's file on its way to the store.
pub(super) struct Limited {
    data: PartDataStream<Source>,
    sizes: Sizes,
    read: u64,
    ended: bool,
}

impl Stream for Limited {
    type Item = Result<Bytes, FileError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(Pin::new(&mut self.data).poll_next(context));
        let item = match next {
            Some(Ok(piece)) => {
                self.read = self.read.saturating_add(piece.len() as u64);
                Some(self.sizes.check_so_far(self.read).map(|()| piece).map_err(FileError::Size))
            }
            Some(Err(error)) => Some(Err(error.into())),
            None => self.sizes.check_whole(self.read).err().map(|refusal| Err(FileError::Size(refusal))),
        };
        self.ended = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const HEAD: &str = "--B\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na/${filename}\r\n";
    const FILE: &str = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n";

    async fn read(kind: &str, body: String) -> Result<(Form, Upload), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).expect("a header"));
        Reader::new(&headers, Body::from(body))?.read().await
    }

    async fn code(kind: &str, body: String) -> String {
        match read(kind, body).await {
            Ok(_) => "read".to_owned(),
            Err(failure) => failure.code_and_message().0,
        }
    }

    async fn contents(upload: Upload, sizes: Sizes) -> Result<Vec<u8>, FileError> {
        let mut all = Vec::new();
        let mut stream = upload.limited(sizes);
        while let Some(piece) = stream.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    const KIND: &str = "multipart/form-data; charset=utf-8; Boundary=\"B\"";

    #[tokio::test]
    async fn fields_come_before_the_file_and_what_follows_does_not_count() {
        let button = "--B\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nUpload\r\n--B--\r\n";
        let (form, upload) = read(KIND, format!("{HEAD}{FILE}{button}")).await.expect("a form");
        assert_eq!((form.get("key"), form.get("submit")), (Some("a/${filename}"), None));
        assert_eq!(upload.file_name, "x.txt");
        assert_eq!(contents(upload, Sizes { min: 5, max: 5 }).await.expect("a file"), b"hello");
    }

    #[tokio::test]
    async fn sizes_are_checked_while_the_file_is_read() {
        for (sizes, code) in
            [(Sizes { min: 6, max: 9 }, "EntityTooSmall"), (Sizes { min: 0, max: 4 }, "EntityTooLarge")]
        {
            let (_, upload) = read(KIND, format!("{HEAD}{FILE}--B--\r\n")).await.expect("a form");
            let error = contents(upload, sizes).await.expect_err("refused");
            assert_eq!(error.failure().code_and_message().0, code);
        }
        let (_, upload) = read(KIND, format!("{HEAD}{FILE}")).await.expect("a form");
        let error = contents(upload, Sizes::ANY).await.expect_err("cut off");
        assert_eq!(error.failure().code_and_message().0, "IncompleteBody");
    }

    #[tokio::test]
    async fn what_is_no_form_is_refused_within_bounds() {
        assert_eq!(code("multipart/form-data", String::new()).await, "MalformedPOSTRequest");
        assert_eq!(code("multipart/form-data; boundary=", String::new()).await, "MalformedPOSTRequest");
        let giant = format!("multipart/form-data; boundary={}", "b".repeat(5_000));
        assert_eq!(code(&giant, String::new()).await, "MalformedPOSTRequest");
        assert_eq!(code(KIND, "hello".to_owned()).await, "MalformedPOSTRequest");
        assert_eq!(code(KIND, format!("{HEAD}--B--\r\n")).await, "InvalidArgument");
        assert_eq!(code(KIND, format!("{HEAD}{HEAD}{FILE}")).await, "InvalidArgument");
        let nameless = "--B\r\nContent-Type: text/plain\r\n\r\nx\r\n";
        assert_eq!(code(KIND, format!("{nameless}{FILE}")).await, "MalformedPOSTRequest");
        let field = |number| format!("--B\r\nContent-Disposition: form-data; name=\"f{number}\"\r\n\r\n\r\n");
        let many = (0..10_000).map(field).collect::<Vec<_>>().concat();
        assert_eq!(code(KIND, format!("{many}{FILE}")).await, "MaxPostPreDataLengthExceeded");
        let long = format!("--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n{}\r\n", "k".repeat(MAX_BYTES));
        assert_eq!(code(KIND, format!("{long}{FILE}")).await, "MaxPostPreDataLengthExceeded");
        let head = format!("--B\r\nX: {}\r\n\r\n", "x".repeat(MAX_BYTES));
        assert_eq!(code(KIND, format!("{head}{FILE}")).await, "MaxPostPreDataLengthExceeded");
    }
}
