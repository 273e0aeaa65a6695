//! Where the log's bundles, tiles and checkpoint are kept.

use std::path::PathBuf;

use clap::Args;

use super::SecretText;

/// The log's object store: a folder, or a bucket.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Tiles {
    /// The folder of bundles, tiles and the checkpoint.
    #[arg(long, env = "TILE_DIR", required_unless_present = "tile_store_url")]
    pub(crate) tile_dir: Option<PathBuf>,
    /// A bucket of an S3-compatible store instead, as s3://bucket/prefix.
    #[arg(long, env = "TILE_STORE_URL", conflicts_with = "tile_dir")]
    pub(crate) tile_store_url: Option<String>,
    /// The store's address, where it is not Amazon's.
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    pub(crate) s3_endpoint: Option<String>,
    /// The bucket's region.
    #[arg(long, env = "AWS_REGION")]
    pub(crate) s3_region: Option<String>,
    /// The access key's id. Without it the machine's own role is used.
    #[arg(long, env = "AWS_ACCESS_KEY_ID")]
    pub(crate) s3_access_key_id: Option<String>,
    /// The access key's secret.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub(crate) s3_secret_access_key: Option<SecretText>,
}

impl Tiles {
    /// Where it is, as it was said.
    pub(crate) fn place(&self) -> String {
        let folder = || self.tile_dir.as_ref().map(|it| it.display().to_string());
        self.tile_store_url.clone().or_else(folder).unwrap_or_default()
    }

    /// Opens it for reading alone: a folder is neither made nor touched.
    pub(crate) fn view(&self) -> anyhow::Result<tiles::TileStore> {
        match (&self.tile_store_url, &self.tile_dir) {
            (None, Some(folder)) => Ok(tiles::TileStore::view(folder)),
            _ => self.open(),
        }
    }

    /// Opens it.
    pub(crate) fn open(&self) -> anyhow::Result<tiles::TileStore> {
        let Some(url) = &self.tile_store_url else {
            let folder = self.tile_dir.as_ref().expect("one of the two is given");
            return Ok(tiles::TileStore::open(folder)?);
        };
        Ok(tiles::TileStore::connect(&tiles::BucketConfig {
            url: url.clone(),
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            access_key_id: self.s3_access_key_id.clone(),
            secret_access_key: self.s3_secret_access_key.as_ref().map(|it| it.0.clone()),
        })?)
    }
}
