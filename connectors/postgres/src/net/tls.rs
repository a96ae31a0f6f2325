//! TLS by rustls with ring: certificates unchecked, checked, or checked with the name, as the mode says.

use crate::{
    config::{ConnectionConfig, SslMode},
    error::{Error, Result},
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// What the configuration asks for.
pub fn connector(config: &ConnectionConfig) -> Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match config.sslmode {
        SslMode::VerifyCa | SslMode::VerifyFull => {
            let inner = trusted(config, &provider)?;
            if config.sslmode == SslMode::VerifyFull { inner } else { Arc::new(AnyName(inner)) }
        }
        _ => Arc::new(Anyone(Arc::clone(&provider))),
    };
    let wrong = |reason: String| Error::Tls { address: "database.sslmode".to_owned(), reason };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| wrong(cause.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let given = |file: &Option<String>| file.clone().filter(|file| !file.is_empty());
    let tls = match (given(&config.sslcert), given(&config.sslkey)) {
        (Some(cert), Some(key)) => {
            let chain = certificates("database.sslcert", &cert)?;
            let key =
                PrivateKeyDer::from_pem_file(&key).map_err(|cause| unreadable("database.sslkey", &key, &cause))?;
            let refused = |cause: rustls::Error| unreadable("database.sslkey", "the key of database.sslcert", &cause);
            builder.with_client_auth_cert(chain, key).map_err(refused)?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(wrong("database.sslcert and database.sslkey go together; set both or none".to_owned())),
    };
    Ok(TlsConnector::from(Arc::new(tls)))
}

fn unreadable(key: &str, file: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::Tls { address: key.to_owned(), reason: format!("{file} can't be used: {cause}") }
}

fn certificates(key: &str, file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|cause| unreadable(key, file, &cause))
}

fn trusted(config: &ConnectionConfig, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let key = "database.sslrootcert";
    let file = config.sslrootcert.as_deref().unwrap_or_default();
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, file)? {
        roots.add(certificate).map_err(|cause| unreadable(key, file, &cause))?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|cause| unreadable(key, file, &cause))
}

/// Takes any certificate: `require` and below protect against listeners only.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks where the certificate comes from and not whose it is: `verify-ca`.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
        match self.0.verify_server_cert(certificate, between, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
