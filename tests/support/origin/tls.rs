//! An authority and a certificate for this machine, made fresh for each origin.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::tmp::TempDir;

/// The names under which this machine is certified.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A key, its certificate, and the file of the authority that signed it.
pub(super) struct Identity {
    acceptor: TlsAcceptor,
    ca_file: PathBuf,
    _dir: TempDir,
}

impl Identity {
    pub(super) fn new() -> Self {
        let ca_key = KeyPair::generate().expect("cannot make a key");
        let mut ca_params = CertificateParams::new([]).expect("no names, no error");
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca_params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // By rcgen's default both are called the same, which OpenSSL takes for signed by itself.
        ca_params.distinguished_name.push(DnType::CommonName, "an authority for tests");
        let ca = ca_params.self_signed(&ca_key).expect("cannot sign");
        let issuer = Issuer::new(ca_params, ca_key);

        let key = KeyPair::generate().expect("cannot make a key");
        let params = CertificateParams::new(NAMES.map(str::to_owned)).expect("the names are good");
        let certificate = params.signed_by(&key, &issuer).expect("cannot sign");

        let dir = TempDir::new();
        let ca_file = dir.path().join("ca.pem");
        fs::write(&ca_file, ca.pem()).expect("cannot write the authority's file");
        let acceptor = acceptor(certificate.der().clone(), &key);
        Self { acceptor, ca_file, _dir: dir }
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    pub(super) fn ca_file(&self) -> &Path {
        &self.ca_file
    }
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes good keys");
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key is the certificate's own");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}
