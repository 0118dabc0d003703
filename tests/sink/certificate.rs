//! Certificates made for one test.

use std::sync::Arc;

use tokio_rustls::{TlsAcceptor, rustls};

/// A certificate made for the test, for `localhost` and `127.0.0.1`.
pub struct Certificate {
    /// For files that clients trust (`SSL_CERT_FILE`).
    pub pem: String,
    der: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    pub fn new() -> Self {
        Self::made((2020, 2120), &["localhost", "127.0.0.1"])
    }

    pub fn expired() -> Self {
        Self::made((2020, 2021), &["localhost", "127.0.0.1"])
    }

    /// For somebody else's machine.
    pub fn of_another() -> Self {
        Self::made((2020, 2120), &["mail.elsewhere.example"])
    }

    fn made((from, to): (i32, i32), names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).expect("names that a certificate can hold");
        parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), der: certificate.der().to_vec(), key: key.serialize_der() }
    }

    /// A client's TLS that trusts this certificate alone.
    pub fn trusted(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.der.clone().into()).expect("our own certificate");
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// A server's TLS that shows it.
    pub fn acceptor(&self) -> TlsAcceptor {
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(self.key.clone());
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone().into()], key.into())
            .expect("our own certificate and key");
        TlsAcceptor::from(Arc::new(config))
    }
}
