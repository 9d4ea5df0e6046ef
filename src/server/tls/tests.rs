use super::*;
use std::process::Command;
use tempfile::TempDir;

/// A directory with `tls.crt` and `tls.key`, self-signed by the `openssl` program.
struct Pair {
    directory: TempDir,
}

impl Pair {
    fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let output = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "30",
            ])
            .args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name}")])
            .arg("-keyout")
            .arg(directory.path().join("tls.key"))
            .arg("-out")
            .arg(directory.path().join("tls.crt"))
            .output()
            .expect("the openssl program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { directory }
    }

    fn files(&self) -> TlsConfig {
        let path = self.directory.path();
        TlsConfig { cert_file: path.join("tls.crt"), key_file: path.join("tls.key") }
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.files().cert_file).expect("a certificate")
    }

    /// Puts another file in the place of `name`, as a renewal does: by rename.
    fn replace(&self, name: &str, other: &Self) {
        let aside = self.directory.path().join("aside");
        fs::copy(other.directory.path().join(name), &aside).expect("copy");
        fs::rename(aside, self.directory.path().join(name)).expect("rename");
    }
}

fn in_use(certificates: &Certificates) -> CertificateDer<'static> {
    certificates.current.load().cert.first().expect("a chain").clone()
}

#[test]
fn a_renewed_pair_is_taken_and_an_unchanged_one_is_not_read_again() {
    let (old, new) = (Pair::new("old.example"), Pair::new("new.example"));
    let certificates = Certificates::load(old.files()).expect("a good pair");
    assert_eq!(certificates.reload().expect("looked"), Reload::Unchanged);
    old.replace("tls.key", &new);
    old.replace("tls.crt", &new);
    assert_eq!(certificates.reload().expect("a good pair"), Reload::Replaced);
    assert_eq!(in_use(&certificates), new.certificate());
}

#[test]
fn between_certificate_and_key_the_old_pair_stays_in_use() {
    let (old, new) = (Pair::new("old.example"), Pair::new("new.example"));
    let before = old.certificate();
    let certificates = Certificates::load(old.files()).expect("a good pair");
    old.replace("tls.crt", &new);
    let error = certificates.reload().expect_err("a mismatch").to_string();
    assert!(error.contains("do not belong together"), "{error}");
    assert_eq!(in_use(&certificates), before);
    assert_eq!(certificates.reload().expect("reported once"), Reload::Unchanged);
    old.replace("tls.key", &new);
    assert_eq!(certificates.reload().expect("a good pair"), Reload::Replaced);
    assert_eq!(in_use(&certificates), new.certificate());
}

#[test]
fn files_that_are_no_pem_are_refused_by_name() {
    let pair = Pair::new("some.example");
    let certificates = Certificates::load(pair.files()).expect("a good pair");
    fs::write(pair.files().key_file, "not a key").expect("write");
    let error = certificates.reload().expect_err("no key").to_string();
    assert!(error.contains("tls.key"), "{error}");
    fs::remove_file(pair.files().cert_file).expect("remove");
    assert!(certificates.reload().expect_err("no file").to_string().contains("tls.crt"));
    assert!(Certificates::load(pair.files()).is_err());
}

#[test]
fn a_swapped_symlink_is_noticed() {
    // Kubernetes mounts a secret as links into `..data`, itself a link that is renamed at each renewal.
    let (old, new) = (Pair::new("old.example"), Pair::new("new.example"));
    let mount = tempfile::tempdir().expect("temporary directory");
    let data = mount.path().join("..data");
    std::os::unix::fs::symlink(old.directory.path(), &data).expect("link");
    let files = TlsConfig { cert_file: data.join("tls.crt"), key_file: data.join("tls.key") };
    let certificates = Certificates::load(files).expect("a good pair");
    let swapped = mount.path().join("..data_tmp");
    std::os::unix::fs::symlink(new.directory.path(), &swapped).expect("link");
    fs::rename(swapped, data).expect("rename");
    assert_eq!(certificates.reload().expect("a good pair"), Reload::Replaced);
    assert_eq!(in_use(&certificates), new.certificate());
}

#[test]
fn http_2_is_offered_before_http_1() {
    let pair = Pair::new("some.example");
    let config = Certificates::load(pair.files()).expect("a good pair").server_config().expect("ciphers");
    assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}
