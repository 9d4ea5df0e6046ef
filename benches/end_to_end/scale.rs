//! Many objects: pages of a listing, the time to start, lifecycle passes, and the same requests beside a server with few.
//!
//! These workloads share one server with `--objects` small objects, in prefixes of 1 000; with `--loaded DIR` it is kept
//! for the next run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client::{AnswerBody, Connection, RequestBody};
use crate::growth::{self, FEW, Stored};
use crate::lifecycle;
use crate::load::{self, Histogram, Keys, Numbered, Numbers, Until, Work};
use crate::options::{Options, PayloadSigning, Workload};
use crate::payload::{Noise, xorshift};
use crate::report::Report;
use crate::server::Server;
use crate::signing::Request;
use crate::target::{Query, Target};

pub const BUCKET: &str = "cairn-many";
const VERSIONED: &str = "cairn-versioned";
const KILLED: &str = "cairn-killed";

/// Keys under one prefix, and on one page.
pub const PAGE: u64 = 1000;

/// Bytes of one object: small, as names are what counts here.
pub const OBJECT: u64 = 64;

/// Connections that store objects.
const STORING: u16 = 64;

/// Objects between two lines of progress.
const SLICE: u64 = 50_000;

/// Even a slow server stores a slice within this time.
const PATIENCE: Duration = Duration::from_mins(10);

/// How often the server is killed and started.
const STARTS: usize = 5;

/// How long it is under load before it is killed.
const LOAD_BEFORE_KILL: Duration = Duration::from_millis(700);

/// Medians by kind of page.
#[derive(Clone, Debug)]
pub struct Listing {
    pub objects: u64,
    /// In the order of the constants below.
    pub pages: Vec<Page>,
}

impl Listing {
    /// 1 000 keys behind a random key.
    pub const PLAIN: usize = 0;
    /// Common prefixes, each one seek.
    pub const DELIMITER: usize = 1;
    /// 1 000 keys under a prefix of a versioned bucket.
    pub const BEFORE_MARKERS: usize = 2;
    /// The same page, behind the delete markers.
    pub const BEHIND_MARKERS: usize = 3;
}

/// Latencies of one kind of page, from sending to the last byte.
#[derive(Clone, Debug)]
pub struct Page {
    pub name: String,
    pub latencies: Histogram,
}

/// Times from exec to ready.
#[derive(Clone, Debug)]
pub struct Starts {
    pub objects: u64,
    pub ready_after: Vec<Duration>,
    /// Peak memory in bytes of the last server once it was ready.
    pub memory: u64,
}

/// The data directory: temporary, or kept.
struct Home {
    root: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Home {
    fn open(options: &Options) -> Result<Self> {
        if let Some(root) = &options.loaded {
            std::fs::create_dir_all(root)?;
            return Ok(Self { root: root.clone(), _temporary: None });
        }
        let temporary = tempfile::Builder::new().prefix("cairn-bench-").tempdir_in(options.data_parent()?)?;
        Ok(Self { root: temporary.path().to_owned(), _temporary: Some(temporary) })
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The smaller store of a comparison.
    fn few(&self) -> Self {
        Self { root: self.root.join("few"), _temporary: None }
    }

    /// Says how many objects are stored; written once they are, removed by hand with the directory.
    fn note(&self) -> PathBuf {
        self.root.join("objects")
    }

    fn stored(&self) -> Option<u64> {
        std::fs::read_to_string(self.note()).ok()?.trim().parse().ok()
    }

    /// Starts a server with `objects` objects, which are stored unless they are here.
    async fn serve(&self, scale: &Scale<'_>, objects: u64) -> Result<Server> {
        let server = Server::start(scale.options, &self.data()).await?;
        match self.stored() {
            Some(stored) if stored == objects => eprintln!("using the {stored} objects in {}", self.root.display()),
            Some(stored) => {
                let root = self.root.display();
                return Err(format!("{root} holds {stored} objects, not {objects}: name another directory").into());
            }
            None => {
                scale.store_objects(&scale.target(&server)?, objects).await?;
                std::fs::write(self.note(), objects.to_string())?;
            }
        }
        Ok(server)
    }
}

struct Scale<'a> {
    options: &'a Options,
    noise: Noise,
    groups: u64,
}

/// Stores the objects, unless they are there, and runs the workloads that were asked for.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    if options.endpoint.is_some() {
        return Err("listing and start need a server of their own: leave --endpoint away".into());
    }
    let home = Home::open(options)?;
    let scale = Scale { options, noise: Noise::new(), groups: options.objects.div_ceil(PAGE) };
    let mut server = home.serve(&scale, options.objects).await?;
    if options.wants(Workload::Listing) {
        report.set_listing(scale.listing(&server).await?);
    }
    if options.wants(Workload::Start) {
        report.set_starts(scale.starts(&mut server, &home.data()).await?);
    }
    if options.wants(Workload::Lifecycle) {
        let target = scale.target(&server)?;
        let gets = stored(&target, options.objects).gets(options)?;
        lifecycle::run(options, report, &target, BUCKET, &scale.noise, &gets).await?;
    }
    if options.wants(Workload::Growth) {
        let small = home.few().serve(&scale, FEW).await?;
        let (few, many) = (scale.target(&small)?, scale.target(&server)?);
        growth::run(options, report, &scale.noise, &[stored(&few, FEW), stored(&many, options.objects)]).await?;
    }
    Ok(())
}

fn stored(target: &Target, objects: u64) -> Stored<'_> {
    Stored { target, objects, keys: keys(objects) }
}

fn keys(objects: u64) -> Keys {
    Keys::Grouped { path: format!("/{BUCKET}/"), groups: objects.div_ceil(PAGE) }
}

impl Scale<'_> {
    fn target(&self, server: &Server) -> Result<Target> {
        Target::new(self.options, server.address, Some(server.process()))
    }

    fn put(&self, keys: Keys, numbers: Numbers) -> Arc<Work> {
        let method = Numbered::Put { size: OBJECT, signing: self.options.payload };
        Arc::new(Work::Numbered { method, keys, numbers })
    }

    async fn each(&self, target: &Target, work: &Arc<Work>, what: &str) -> Result<()> {
        load::run(target, STORING, work, &self.noise, Until::Exhausted(PATIENCE)).await?.whole(what).map(drop)
    }

    async fn store_objects(&self, target: &Target, objects: u64) -> Result<()> {
        target.create_bucket(BUCKET).await?;
        let started = Instant::now();
        for first in (0..objects).step_by(usize::try_from(SLICE)?) {
            let end = (first + SLICE).min(objects);
            self.each(target, &self.put(keys(objects), Numbers::new(first, end)), "storing objects").await?;
            eprint!("\rstored {end} of {objects} objects, {:.0}/s ", end as f64 / started.elapsed().as_secs_f64());
            std::io::stderr().flush()?;
        }
        eprintln!();
        Ok(())
    }

    async fn listing(&self, server: &Server) -> Result<Listing> {
        let target = self.target(server)?;
        server.process().settle().await?;
        let mut pages = vec![self.plain_pages(&target).await?, self.delimiter_pages(&target).await?];
        pages.extend(self.marker_pages(&target, server).await?);
        Ok(Listing { objects: self.options.objects, pages })
    }

    /// Each page starts behind a key of its own choice, at the end of a prefix, so that it is always full.
    async fn plain_pages(&self, target: &Target) -> Result<Page> {
        let mut random = 0x2545_F491_4F6C_DD1D;
        let starts: Vec<String> =
            std::iter::repeat_with(|| format!("{:06}/", xorshift(&mut random) % self.groups.saturating_sub(1).max(1)))
                .take(512)
                .collect();
        let queries: Vec<_> = starts
            .iter()
            .map(|start| [("list-type", "2"), ("max-keys", "1000"), ("start-after", start.as_str())])
            .collect();
        let queries: Vec<Query<'_>> = queries.iter().map(<[_; 3]>::as_slice).collect();
        self.pages(target, BUCKET, "1 000 keys behind a random one", &queries, "<Contents>", PAGE).await
    }

    async fn delimiter_pages(&self, target: &Target) -> Result<Page> {
        let query = [("delimiter", "/"), ("list-type", "2"), ("max-keys", "1000")];
        let prefixes = self.groups.min(PAGE);
        let name = format!("{prefixes} common prefixes of 1 000 keys each");
        self.pages(target, BUCKET, &name, &[query.as_slice()], "<CommonPrefixes>", prefixes).await
    }

    /// A page of 1 000 live keys under a prefix, before and after many keys ahead of them were stored and deleted.
    async fn marker_pages(&self, target: &Target, server: &Server) -> Result<[Page; 2]> {
        let markers = self.options.delete_markers;
        target.create_bucket(VERSIONED).await?;
        target.enable_versioning(VERSIONED).await?;
        // A name per run: a kept data directory has the markers of earlier runs.
        let prefix = format!("run-{}/", std::process::id());
        let live = Keys::Scattered(format!("/{VERSIONED}/{prefix}live/"));
        self.each(target, &self.put(live, Numbers::new(0, PAGE)), "storing live keys").await?;
        let query = [("list-type", "2"), ("max-keys", "1000"), ("prefix", prefix.as_str())];
        let queries = [query.as_slice()];
        let name = "versioned: 1 000 keys under a prefix";
        let before = self.pages(target, VERSIONED, name, &queries, "<Contents>", PAGE).await?;

        eprintln!("making {markers} delete markers ...");
        let deleted = Keys::Scattered(format!("/{VERSIONED}/{prefix}deleted/"));
        self.each(target, &self.put(deleted.clone(), Numbers::new(0, markers)), "storing keys").await?;
        let numbers = Numbers::new(0, markers);
        let delete = Arc::new(Work::Numbered { method: Numbered::Delete, keys: deleted, numbers });
        self.each(target, &delete, "deleting keys").await?;
        server.process().settle().await?;
        let name = format!("versioned: the same behind {markers} delete markers");
        let behind = self.pages(target, VERSIONED, &name, &queries, "<Contents>", PAGE).await?;
        Ok([before, behind])
    }

    /// Asks for the pages in turn over one connection for the time of a cell, after a check that the first is right.
    async fn pages(
        &self,
        target: &Target,
        bucket: &str,
        name: &str,
        queries: &[Query<'_>],
        element: &str,
        entries: u64,
    ) -> Result<Page> {
        let (path, mut signer) = (format!("/{bucket}"), target.signer.clone());
        let first = queries.first().ok_or("no page to ask for")?;
        target.check_page(bucket, first, element, usize::try_from(entries)?).await?;
        let mut connection = Connection::open(target.address).await?;
        let (mut head, mut latencies, started) = (Vec::new(), Histogram::new(), Instant::now());
        for query in queries.iter().cycle() {
            if started.elapsed() > self.options.cell_time() {
                break;
            }
            signer.write_head(&mut head, &Request::empty("GET", &path, query))?;
            let began = Instant::now();
            let answer = connection.exchange(&head, RequestBody::Empty, AnswerBody::Count).await?;
            if answer.status != 200 {
                return Err(format!("a page ({name}) was answered {}", answer.status).into());
            }
            latencies.record(began.elapsed());
        }
        Ok(Page { name: name.to_owned(), latencies })
    }

    /// Kills the server in the middle of writes and starts it again, several times.
    async fn starts(&self, server: &mut Server, data: &Path) -> Result<Starts> {
        let mut ready_after = Vec::new();
        for round in 0..STARTS {
            let target = self.target(server)?;
            target.create_bucket(KILLED).await?;
            let keys = Keys::Scattered(format!("/{KILLED}/{}-{round}/", std::process::id()));
            let method = Numbered::Put { size: 16 << 10, signing: PayloadSigning::Auto };
            let work = Arc::new(Work::Numbered { method, keys, numbers: Numbers::new(0, u64::MAX) });
            let noise = self.noise.clone();
            let load = tokio::spawn(async move {
                load::run(&target, STORING, &work, &noise, Until::Time(LOAD_BEFORE_KILL * 3)).await
            });
            tokio::time::sleep(LOAD_BEFORE_KILL).await;
            server.kill()?;
            // It ends with the errors of the connections that broke; what it did before is no figure of ours.
            let _ = load.await?;
            *server = Server::start(self.options, data).await?;
            ready_after.push(server.ready_after);
        }
        Ok(Starts { objects: self.options.objects, ready_after, memory: server.process().peak_memory()? })
    }
}
