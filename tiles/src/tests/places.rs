//! Each place that a log can be kept in: a folder, and a bucket of a real S3-compatible server in this process.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use crate::bucket::Bucket;
use crate::{BucketConfig, TileStore};

/// A place that a log is kept in. Opened twice, it is the same place.
pub(super) enum Place {
    Folder(TempDir),
    Bucket(BucketConfig),
}

/// One of each kind, new.
pub(super) fn places() -> [Place; 2] {
    [Place::Folder(TempDir::new().unwrap()), Place::Bucket(SERVER.bucket())]
}

impl Place {
    pub(super) fn open(&self) -> TileStore {
        let _runtime = SERVER.runtime.enter();
        match self {
            Self::Folder(home) => TileStore::open(home.path().join("log")).unwrap(),
            Self::Bucket(config) => TileStore::connect(config).unwrap(),
        }
    }

    /// The bucket behind the store, where it is one.
    pub(super) fn bucket(&self) -> Option<Bucket> {
        let _runtime = SERVER.runtime.enter();
        let Self::Bucket(config) = self else { return None };
        Some(Bucket::connect(config).unwrap())
    }

    /// Where an object of this name lies on disk.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(home) => home.path().join("log").join(name),
            Self::Bucket(config) => SERVER.home.path().join(&config.url["s3://".len()..]).join(name),
        }
    }
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

struct Server {
    home: TempDir,
    runtime: Runtime,
    endpoint: String,
    buckets: AtomicU64,
}

impl Server {
    fn start() -> Self {
        let home = TempDir::new().unwrap();
        let runtime = Runtime::new().unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(home.path()).unwrap());
        service.set_auth(SimpleAuth::from_single("test-id", "test-secret"));
        let service = service.build();
        let alone = Arc::new(Mutex::new(()));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (service, alone) = (service.clone(), Arc::clone(&alone));
                // This server looks whether a write may be and then writes; a store that is worth its name does both in one.
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let (service, alone) = (service.clone(), Arc::clone(&alone));
                    async move {
                        let _alone = alone.lock().await;
                        Service::call(&service, request).await
                    }
                });
                tokio::spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    // A client that goes away is no failure of the server's.
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { home, runtime, endpoint, buckets: AtomicU64::new(0) }
    }

    fn bucket(&self) -> BucketConfig {
        let name = format!("log-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir(self.home.path().join(&name)).unwrap();
        BucketConfig {
            url: format!("s3://{name}/some/prefix"),
            endpoint: Some(self.endpoint.clone()),
            region: Some("us-east-1".to_owned()),
            access_key_id: Some("test-id".to_owned()),
            secret_access_key: Some("test-secret".to_owned()),
        }
    }
}
