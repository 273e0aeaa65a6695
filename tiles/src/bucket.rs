//! A bucket of an S3-compatible store. Its objects have the names and the bytes of a folder's files; bundles carry
//! `Content-Encoding: gzip`, so that a bucket can be served as it is.

use std::fmt;
use std::future::Future;

use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion,
};
use tokio::runtime::Handle;

use crate::error::TileError;
use crate::published::Published;
use crate::store::CHECKPOINT;

/// Publishing is tried again while others publish meanwhile; so many in a row do not.
const RACES_MAX: usize = 64;

/// Where a bucket is and who we are there.
#[derive(Clone, Default)]
pub struct BucketConfig {
    /// `s3://bucket/prefix`.
    pub url: String,
    /// The store's address, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The access key's id; without it the machine's own role.
    pub access_key_id: Option<String>,
    /// The access key's secret.
    pub secret_access_key: Option<String>,
}

impl fmt::Debug for BucketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketConfig({}, {:?})", self.url, self.endpoint)
    }
}

pub(crate) struct Bucket {
    store: AmazonS3,
    prefix: Path,
    // Whoever waits is a thread for blocking work; the runtime's own threads do the asking.
    runtime: Handle,
}

impl Bucket {
    pub(crate) fn connect(config: &BucketConfig) -> Result<Self, TileError> {
        let malformed = |problem: &str| remote(&config.url, problem);
        let rest =
            config.url.strip_prefix("s3://").ok_or_else(|| malformed("it is not s3://bucket/prefix"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // Not every store has an answer to a request that deletes many.
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_disable_bulk_delete(true);
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &config.region {
            builder = builder.with_region(region);
        }
        if let (Some(id), Some(secret)) = (&config.access_key_id, &config.secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let store = builder.build().map_err(|error| malformed(&error.to_string()))?;
        let runtime = Handle::try_current().map_err(|error| malformed(&error.to_string()))?;
        let prefix = Path::parse(prefix).map_err(|error| malformed(&error.to_string()))?;
        Ok(Self { store, prefix, runtime })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Option<Vec<u8>>, TileError> {
        Ok(self.get_version(path)?.map(|(bytes, _)| bytes))
    }

    fn get_version(&self, path: &str) -> Result<Option<(Vec<u8>, UpdateVersion)>, TileError> {
        let read = self.wait(async {
            let found = self.store.get(&self.at(path)).await?;
            let version =
                UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
            Ok((found.bytes().await?.to_vec(), version))
        });
        match read {
            Ok(read) => Ok(Some(read)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(remote(path, error)),
        }
    }

    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>, is_gzip: bool) -> Result<(), TileError> {
        let put = self.put_as(path, bytes, lasting(is_gzip), PutMode::Overwrite);
        put.map(drop).map_err(|error| remote(path, error))
    }

    /// The same under a name that nothing has yet: the store itself refuses it else. Where something has it, that is the answer.
    pub(crate) fn create(
        &self,
        path: &str,
        bytes: &[u8],
        is_gzip: bool,
    ) -> Result<Option<Vec<u8>>, TileError> {
        for _ in 0..RACES_MAX {
            match self.put_as(path, bytes.to_vec(), lasting(is_gzip), PutMode::Create) {
                Err(Error::AlreadyExists { .. }) => {}
                put => return put.map(|_| None).map_err(|error| remote(path, error)),
            }
            // A partial tile may have been taken away meanwhile.
            if let Some(standing) = self.get(path)? {
                return Ok(Some(standing));
            }
        }
        Err(remote(path, "others wrote it and took it away all the while"))
    }

    /// The same under a name that something has, where it may be written over. Between the look whether it may and the writing the
    /// answer may become another: then what stood there stands there again. Whoever ends before that leaves its own there, until
    /// what is published is held again: no store refuses a write because of another object, or of the same bytes put anew.
    pub(crate) fn replace(
        &self,
        path: &str,
        bytes: &[u8],
        is_gzip: bool,
        may: impl Fn() -> Result<(), TileError>,
    ) -> Result<(), TileError> {
        let put = |bytes: &[u8], mode| match self.put_as(path, bytes.to_vec(), lasting(is_gzip), mode) {
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => Ok(None),
            put => put.map(Some).map_err(|error| remote(path, error)),
        };
        for _ in 0..RACES_MAX {
            let (before, mode) = match self.get_version(path)? {
                Some((before, version)) => (Some(before), PutMode::Update(version)),
                None => (None, PutMode::Create),
            };
            may()?;
            let Some(version) = put(bytes, mode)? else { continue };
            let Err(refused) = may() else { return Ok(()) };
            if let Some(before) = before {
                put(&before, PutMode::Update(version))?;
            }
            return Err(refused);
        }
        Err(remote(path, "others wrote it all the while"))
    }

    fn put_as(
        &self,
        path: &str,
        bytes: Vec<u8>,
        attributes: Attributes,
        mode: PutMode,
    ) -> Result<UpdateVersion, Error> {
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        self.wait(async { Ok(self.store.put_opts(&self.at(path), bytes.into(), options).await?.into()) })
    }

    /// Takes the objects below a name away. That another has taken one is as good.
    pub(crate) fn remove_below(&self, path: &str) -> Result<(), TileError> {
        let removed = self.wait(async {
            let below = self.store.list(Some(&self.at(path))).map_ok(|it| it.location).boxed();
            let mut gone = self.store.delete_stream(below);
            while let Some(removed) = gone.next().await {
                match removed {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        removed.map_err(|error| remote(path, error))
    }

    /// Publishes a checkpoint where it may stand: the store itself refuses it when another has come between.
    pub(crate) fn publish(
        &self,
        note: &str,
        may_stand: impl Fn(Option<&str>, &str) -> Result<bool, TileError>,
    ) -> Result<(), TileError> {
        for _ in 0..RACES_MAX {
            let (standing, mode) = match self.get_version(CHECKPOINT)? {
                Some((bytes, version)) => (Some(Published::text(bytes)?), PutMode::Update(version)),
                None => (None, PutMode::Create),
            };
            if !may_stand(standing.as_deref(), note)? {
                return Ok(());
            }
            let content_type = (Attribute::ContentType, "text/plain; charset=utf-8");
            let caching = (Attribute::CacheControl, "public, max-age=1");
            let attributes = Attributes::from_iter([content_type, caching]);
            match self.put_as(CHECKPOINT, note.as_bytes().to_vec(), attributes, mode) {
                Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => {}
                put => return put.map(drop).map_err(|error| remote(CHECKPOINT, error)),
            }
        }
        Err(remote(CHECKPOINT, "others published all the while"))
    }

    fn at(&self, path: &str) -> Path {
        self.prefix.parts().chain(Path::from(path).parts()).collect()
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.runtime.block_on(work)
    }
}

// What is told with an object that never changes.
fn lasting(is_gzip: bool) -> Attributes {
    let content_type = (Attribute::ContentType, "application/octet-stream");
    let caching = (Attribute::CacheControl, "public, max-age=31536000, immutable");
    let mut attributes = Attributes::from_iter([content_type, caching]);
    if is_gzip {
        attributes.insert(Attribute::ContentEncoding, "gzip".into());
    }
    attributes
}

fn remote(path: &str, problem: impl ToString) -> TileError {
    TileError::Remote { path: path.to_owned(), problem: problem.to_string() }
}
