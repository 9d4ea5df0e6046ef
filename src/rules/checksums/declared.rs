//! The checksum of one request body: what the client declared, and what is therefore computed.

use storage::index::records::{Checksum, ChecksumAlgorithm, ChecksumType};

use super::{ChecksumHasher, DEFAULT, algorithm_of_header, decode, header, name, parse_algorithm};
use crate::rules::refusal::{Code, Refusal, Result};

/// A checksum that the client declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Its value.
    pub value: DeclaredValue,
}

/// Where the value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredValue {
    /// In a header: here it is.
    Known(Vec<u8>),
    /// It follows the body, in a trailer.
    InTrailer,
}

/// Headers that begin like a checksum's but carry none.
const NOT_CHECKSUMS: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"];

impl Declared {
    /// Reads what the client declared about a request body, from `x-amz-sdk-checksum-algorithm`, the headers whose
    /// names begin with `x-amz-checksum-` (others are passed over), and `x-amz-trailer`.
    ///
    /// # Errors
    /// `InvalidRequest`: several checksums, an unknown algorithm, a value that is none, an algorithm without a value.
    pub fn parse<'a>(
        sdk_algorithm: Option<&str>,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        trailer: Option<&str>,
    ) -> Result<Option<Self>> {
        let in_header = from_headers(headers)?;
        let in_trailer = trailer.map(from_trailer).transpose()?.flatten();
        let declared = match (in_header, in_trailer) {
            (Some(_), Some(_)) => return Err(Refusal::invalid_request("Expecting a single x-amz-checksum- header")),
            (header, trailer) => header.or(trailer),
        };
        match (sdk_algorithm, &declared) {
            (Some(_), None) => Err(Refusal::invalid_request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
            )),
            (Some(text), Some(declared)) if parse_algorithm(text.trim()) != Some(declared.algorithm) => {
                Err(Refusal::invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid."))
            }
            _ => Ok(declared),
        }
    }

    /// Compares what was declared with what was computed over the body. `trailer` is the value of the trailer that
    /// was announced, if it came.
    ///
    /// # Errors
    /// `BadDigest`; `MalformedTrailerError` if the trailer did not come; `InvalidRequest` if its value is none.
    pub fn verify(&self, computed: &[u8], trailer: Option<&str>) -> Result<()> {
        let agrees = match (&self.value, trailer) {
            (DeclaredValue::Known(value), _) => value == computed,
            (DeclaredValue::InTrailer, None) => return Err(Code::MalformedTrailerError.into()),
            (DeclaredValue::InTrailer, Some(text)) => {
                let invalid = || format!("Value for {} trailing header is invalid.", header(self.algorithm));
                decode(self.algorithm, text).ok_or_else(|| Refusal::invalid_request(invalid()))? == computed
            }
        };
        if agrees {
            return Ok(());
        }
        let message = format!("The {} you specified did not match the calculated checksum.", name(self.algorithm));
        Err(Refusal::new(Code::BadDigest, message))
    }
}

fn from_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Option<Declared>> {
    let mut found = None;
    for (header, value) in headers {
        let header = header.to_ascii_lowercase();
        if !header.starts_with("x-amz-checksum-") || NOT_CHECKSUMS.contains(&header.as_str()) {
            continue;
        }
        if found.is_some() {
            return Err(Refusal::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        let algorithm = algorithm_of_header(&header).ok_or_else(|| {
            Refusal::invalid_request("The algorithm type you specified in x-amz-checksum- header is invalid.")
        })?;
        let value = decode(algorithm, value)
            .ok_or_else(|| Refusal::invalid_request(format!("Value for {header} header is invalid.")))?;
        found = Some(Declared { algorithm, value: DeclaredValue::Known(value) });
    }
    Ok(found)
}

fn from_trailer(names: &str) -> Result<Option<Declared>> {
    let mut found = None;
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let algorithm = algorithm_of_header(name).ok_or_else(|| {
            Refusal::invalid_request("The value specified in the x-amz-trailer header is not supported")
        })?;
        if found.replace(Declared { algorithm, value: DeclaredValue::InTrailer }).is_some() {
            return Err(Refusal::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
    }
    Ok(found)
}

/// What is to be computed over a request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The algorithm whose value is stored.
    pub stored: ChecksumAlgorithm,
    /// What the client declared, to be verified.
    pub declared: Option<Declared>,
}

impl Plan {
    /// For an object in one piece: what the client declared, else [`DEFAULT`].
    #[must_use]
    pub fn for_object(declared: Option<Declared>) -> Self {
        let stored = declared.as_ref().map_or(DEFAULT, |declared| declared.algorithm);
        Self { stored, declared }
    }

    /// For a part of an upload. An upload that was created with an algorithm wants it for each part; one that was
    /// created without takes any, verifies it, and stores [`DEFAULT`], which its completion will need.
    ///
    /// # Errors
    /// `InvalidRequest` where the part's algorithm is not the upload's.
    pub fn for_part(declared: Option<Declared>, upload: Option<ChecksumAlgorithm>) -> Result<Self> {
        let actual = declared.as_ref().map(|declared| declared.algorithm);
        match upload {
            Some(expected) if actual != Some(expected) => Err(algorithm_mismatch(expected, actual)),
            _ => Ok(Self { stored: upload.unwrap_or(DEFAULT), declared }),
        }
    }

    /// For a part that is copied from an object: nobody declares anything.
    #[must_use]
    pub fn for_copied_part(upload: Option<ChecksumAlgorithm>) -> Self {
        Self { stored: upload.unwrap_or(DEFAULT), declared: None }
    }

    /// Starts computing.
    #[must_use]
    pub fn start(self) -> Computing {
        let second = self.declared.as_ref().map(|declared| declared.algorithm).filter(|other| *other != self.stored);
        Computing { stored: ChecksumHasher::new(self.stored), second: second.map(ChecksumHasher::new), plan: self }
    }
}

/// `InvalidRequest`: the upload, or completion, was to use another algorithm.
pub(super) fn algorithm_mismatch(expected: ChecksumAlgorithm, actual: Option<ChecksumAlgorithm>) -> Refusal {
    let lower = |algorithm| name(algorithm).to_ascii_lowercase();
    let (expected, actual) = (lower(expected), actual.map_or_else(|| "null".to_owned(), lower));
    Refusal::invalid_request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type: {actual}"
    ))
}

/// A [`Plan`] being carried out, as the body's bytes come.
pub struct Computing {
    plan: Plan,
    stored: ChecksumHasher,
    /// Where the client declared another algorithm than the one that is stored.
    second: Option<ChecksumHasher>,
}

impl Computing {
    /// Takes in the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.stored.update(data);
        if let Some(second) = &mut self.second {
            second.update(data);
        }
    }

    /// Verifies what was declared and returns what is to be stored. `trailer` is the value of the trailer that was
    /// announced, if it came.
    ///
    /// # Errors
    /// As [`Declared::verify`].
    pub fn finish(self, trailer: Option<&str>) -> Result<Checksum> {
        let value = self.stored.finish();
        if let Some(declared) = &self.plan.declared {
            match self.second {
                Some(second) => declared.verify(&second.finish(), trailer)?,
                None => declared.verify(&value, trailer)?,
            }
        }
        Ok(Checksum { algorithm: self.plan.stored, kind: ChecksumType::FullObject, value })
    }
}
