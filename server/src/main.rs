//! `endcheck-server`: serves headquarters and does its chores from the command line.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use age::secrecy::ExposeSecret as _;
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::tlog::VerifierKey;
use endcheck_server::accounts::{self, Role};
use endcheck_server::app::{self, App};
use endcheck_server::clock::Clock;
use endcheck_server::config::{Config, Settings};
use endcheck_server::error::Error;
use endcheck_server::exports::{self, ExportVisit, Exporter};
use endcheck_server::planning::commands::{self as plans, PlanCommand};
use endcheck_server::risk::commands::{self, PolicyCommand};
use endcheck_server::{audit, db, evidence, import, jobs, selection, witness};

#[derive(Parser)]
#[command(name = "endcheck-server", version, about = "The headquarters of Endcheck")]
struct Cli {
    /// TOML file with the same settings as the flags.
    #[arg(long, env = "ENDCHECK_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests until stopped.
    Serve,
    /// Bring the database up to date.
    Migrate,
    /// Import programme data, all or nothing: a CSV, JSON or GeoJSON file. Or what came by hand.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Write the evidence of a visit as a bag that proves itself: a tar archive.
    Export {
        /// The visit's id.
        visit: VisitId,
        /// The archive to write; an existing file is never overwritten.
        #[arg(long)]
        out: PathBuf,
        /// Why; goes into the ledger.
        #[arg(long)]
        why: String,
        /// What the first so many entries of the log commit to; by default everything until now.
        #[arg(long, value_name = "ENTRIES")]
        as_of: Option<u64>,
        /// Redacted files in place of the originals that have one.
        #[arg(long)]
        redacted: bool,
        /// age recipient to seal the archive to; may be given several times.
        #[arg(long = "recipient", value_name = "AGE1…")]
        recipients: Vec<String>,
    },
    /// Check every row that the log commits to against the log.
    Verify,
    /// Check, try, compare, put into force and replay risk policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Plan visits: load rosters, search for plans, accept them.
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Manage accounts.
    #[command(subcommand)]
    User(UserCommand),
    /// Make an escrow key in a new file and print its recipient; run it on another machine.
    Escrow { file: PathBuf },
    /// Watch the logs of headquarters for somebody else: cosign checkpoints that continue those seen before.
    Witness(WitnessCommand),
    /// Print the configuration, secrets masked.
    Config,
    /// Print the API as an OpenAPI 3.1 document.
    Openapi,
}

#[derive(Subcommand)]
enum ImportCommand {
    Parties {
        file: PathBuf,
    },
    Sites {
        file: PathBuf,
    },
    Licences {
        file: PathBuf,
    },
    Shipments {
        file: PathBuf,
    },
    /// Take in the packages on a stick, and write receipts beside them. What is damaged is told and the rest
    /// taken in; may be repeated. The server may be running.
    Evidence {
        folder: PathBuf,
        /// Who brought it; goes on record.
        #[arg(long)]
        carried_by: String,
    },
}

#[derive(clap::Args)]
struct WitnessCommand {
    /// Name of this witness in its cosignatures, such as `witness.example.org`; needed once, it can never
    /// be changed.
    #[arg(long, env = "ENDCHECK_WITNESS_NAME")]
    name: Option<String>,
    /// Key of a log to watch, as its `/log/policy` writes it; may be given several times.
    #[arg(long = "log", env = "ENDCHECK_WITNESS_LOG", value_delimiter = ',', value_name = "VKEY")]
    logs: Vec<VerifierKey>,
    /// Print the key of this witness, made where there is none, and end.
    #[arg(long)]
    print_key: bool,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Open an account. The password comes from ENDCHECK_PASSWORD, else it is asked for, else it is
    /// the first line of standard input.
    Add {
        #[arg(long)]
        login: String,
        #[arg(long)]
        name: String,
        /// May be given several times.
        #[arg(long = "role", required = true)]
        roles: Vec<Role>,
        /// Where they are written to.
        #[arg(long)]
        mail: Option<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let file = cli.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
    let config = cli.settings.over(file);
    start_logging(&config);
    match cli.command {
        Command::Serve => serve(config),
        Command::Migrate => {
            for migration in db::migrate(&mut *db::open(&config.database_url, 1)?.get()?)? {
                tracing::info!(%migration, "migrated");
            }
            Ok(())
        }
        Command::Import(command) => run_import(config, command),
        Command::Export { visit, out, why, as_of, redacted, recipients } => {
            let command = ExportVisit { visit, why, as_of, redacted, recipients };
            print(&export(config, &command, &out)?);
            Ok(())
        }
        Command::Verify => {
            let audit = audit::run(&mut *database(&config)?.get()?).map_err(Error::told)?;
            print(&audit.told());
            anyhow::ensure!(audit.holds(), "what is stored is not what the log commits to");
            Ok(())
        }
        Command::Policy(command) => {
            print(&run_policy(config, command)?);
            Ok(())
        }
        Command::Plan(command) => {
            print(&run_plan(config, command)?);
            Ok(())
        }
        Command::User(UserCommand::Add { login, name, roles, mail }) => {
            let password = password(&login)?;
            let mut conn = database(&config)?.get()?;
            let user =
                accounts::add_user(&mut conn, &login, &name, &password, &roles, Clock::default().now())
                    .map_err(Error::told)?;
            if let Some(mail) = mail {
                accounts::set_mail(&mut conn, &user.id, Some(&mail)).map_err(Error::told)?;
            }
            print(&format!("{} {}", user.id, user.login));
            Ok(())
        }
        Command::Escrow { file } => {
            print(&make_escrow(&file)?);
            Ok(())
        }
        Command::Witness(command) => run_witness(&config, command),
        Command::Config => {
            print(&config.printed()?);
            Ok(())
        }
        Command::Openapi => {
            print(&serde_json::to_string_pretty(&app::openapi())?);
            Ok(())
        }
    }
}

fn run_policy(config: Config, command: PolicyCommand) -> anyhow::Result<String> {
    let now = Clock::default().now();
    match command {
        PolicyCommand::Check { file } => commands::check(&file),
        PolicyCommand::Test { file } => commands::test(&file),
        PolicyCommand::Diff { new, old } => {
            commands::diff(&mut *database(&config)?.get()?, &new, old.as_deref(), now)
        }
        PolicyCommand::Activate { file, login, reason } => {
            let password = password(&login)?;
            let pool = database(&config)?;
            let mut conn = pool.get()?;
            let actor = accounts::person(&mut conn, &login, &password).map_err(Error::told)?;
            commands::activate(&mut conn, &actor, &file, reason, now)
        }
        PolicyCommand::Replay { assessment } => {
            commands::replay(&mut *database(&config)?.get()?, assessment.as_ref())
        }
        PolicyCommand::Export { folder } => {
            let app = App::open(config, Clock::default())?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            selection::export(&app, &folder, runtime.handle())
        }
    }
}

fn run_plan(config: Config, command: PlanCommand) -> anyhow::Result<String> {
    let app = App::open(config, Clock::default())?;
    let signed_in = |login: &str| {
        let password = password(login)?;
        accounts::person(&mut *app.pool.get()?, login, &password).map_err(Error::told)
    };
    match command {
        PlanCommand::Roster { file, login } => plans::roster(&app, &signed_in(&login)?, &file),
        PlanCommand::Propose(arguments) => {
            let actor = signed_in(&arguments.login)?;
            plans::propose(&app, &actor, *arguments)
        }
        PlanCommand::Show { plan, json } => plans::show(&app, &plan, json),
        PlanCommand::Accept { plan, login, reason } => {
            plans::accept(&app, &signed_in(&login)?, &plan, reason)
        }
        PlanCommand::Replay { plan } => plans::replay(&app, &plan),
    }
}

/// Writes a visit's bag into a new file; answers what was written.
fn export(config: Config, command: &ExportVisit, out: &Path) -> anyhow::Result<String> {
    let app = App::open(config, Clock::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let target = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let target = target.with_context(|| {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => {
                format!("{} cannot be made: there is no folder {}", out.display(), folder.display())
            }
            _ => format!("{} cannot be made; an existing file is never overwritten", out.display()),
        }
    })?;
    let now = app.clock.now();
    let written = exports::prepare(&mut *app.pool.get()?, &app, Exporter::CommandLine, command, now)
        .map_err(Error::told)
        .and_then(|prepared| {
            let mut told = format!(
                "{} written.\nBag {} shows the first {} entries of the log.",
                out.display(),
                prepared.sha256,
                prepared.log_size
            );
            if let Some(uncosigned) = prepared.uncosigned {
                told.push_str(&format!("\nWARNING: {uncosigned}."));
            }
            prepared.write(&app, runtime.handle(), std::io::BufWriter::new(&target))?;
            target.sync_all()?;
            Ok(told)
        });
    if written.is_err() {
        // Half an archive would only mislead.
        let _ = std::fs::remove_file(out);
    }
    written
}

/// The database, made and brought up to date where it must be.
fn database(config: &Config) -> anyhow::Result<db::Pool> {
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("the data folder {} cannot be made", config.data.display()))?;
    let pool = db::open(&config.database_url, 1)?;
    db::migrate(&mut *pool.get()?)?;
    Ok(pool)
}

fn serve(config: Config) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async move {
        let app = App::open(config, Clock::default())?;
        let mut scheduler = jobs::start(&app).await?;
        let (server, address) = app::listen(app)?;
        tracing::info!(%address, "listening");
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            if stop_signal().await.is_ok() {
                handle.stop(true).await;
            }
        });
        server.await?;
        scheduler.shutdown().await?;
        Ok(())
    })
}

fn run_import(config: Config, command: ImportCommand) -> anyhow::Result<()> {
    use import::Kind;
    let (kind, file) = match command {
        ImportCommand::Parties { file } => (Kind::Parties, file),
        ImportCommand::Sites { file } => (Kind::Sites, file),
        ImportCommand::Licences { file } => (Kind::Licences, file),
        ImportCommand::Shipments { file } => (Kind::Shipments, file),
        ImportCommand::Evidence { folder, carried_by } => {
            return import_evidence(config, &folder, &carried_by);
        }
    };
    let said = import::file(&mut *database(&config)?.get()?, kind, &file, Clock::default().now())?;
    print(&said);
    Ok(())
}

fn import_evidence(config: Config, folder: &Path, carried_by: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!carried_by.trim().is_empty(), "say who brought it: --carried-by 'NAME, OFFICE'");
    let reports = actix_web::rt::System::new().block_on(async {
        let app = App::open(config, Clock::default())?;
        evidence::take_in_folder(&app, folder, carried_by.trim()).await
    })?;
    let (mut faults, mut brought) = (0, 0);
    for report in &reports {
        brought += report.records_accepted + report.records_held + report.files_stored + report.files_held;
        faults += report.faults.len();
        let whose = report.device.as_ref().map_or_else(|| "unsigned".to_owned(), ToString::to_string);
        print(&format!(
            "{} (device {whose}): {} new records ({} set aside), {} held already; {} new files, {} held already",
            report.folder,
            report.records_accepted,
            report.records_set_aside,
            report.records_held,
            report.files_stored,
            report.files_held
        ));
        for fault in &report.faults {
            print(&format!("  not taken in: {fault}"));
        }
        if report.receipts_written {
            print("  receipts.endcheck was written: carry it back, for `endcheck sync --from`");
        }
    }
    anyhow::ensure!(faults == 0 || brought > 0, "{faults} things are told above; nothing was taken in");
    anyhow::ensure!(faults == 0, "{faults} things are told above; the rest was taken in");
    Ok(())
}

fn run_witness(config: &Config, command: WitnessCommand) -> anyhow::Result<()> {
    let folder = config.data.join("witness");
    if command.print_key {
        print(&witness::key(&folder, command.name.as_deref())?.to_string());
        return Ok(());
    }
    let witness = witness::Witness::open(&folder, command.name.as_deref(), command.logs, Clock::default())?;
    tracing::info!(key = %witness.verifier(), "this witness");
    actix_web::rt::System::new().block_on(async move {
        let (server, address) = witness::listen(witness, config)?;
        tracing::info!(%address, "listening");
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            if stop_signal().await.is_ok() {
                handle.stop(true).await;
            }
        });
        Ok(server.await?)
    })
}

/// Ctrl-C, or the signal that service managers send.
async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped,
        _ = terminate.recv() => Ok(()),
    }
}

fn password(login: &str) -> anyhow::Result<String> {
    if let Some(password) = std::env::var_os("ENDCHECK_PASSWORD") {
        return password.into_string().map_err(|_| anyhow::anyhow!("ENDCHECK_PASSWORD is not UTF-8"));
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(rpassword::prompt_password(format!("Password for {login}: "))?);
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Writes a fresh age identity where nothing is yet, and answers its recipient.
fn make_escrow(file: &Path) -> anyhow::Result<String> {
    let identity = age::x25519::Identity::generate();
    let mut made =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).with_context(
            || format!("{} cannot be made; an existing file is never overwritten", file.display()),
        )?;
    made.write_all(format!("{}\n", identity.to_string().expose_secret()).as_bytes())?;
    made.sync_all()?;
    Ok(identity.to_public().to_string())
}

fn start_logging(config: &Config) {
    // One of the photo parsers narrates every tag that it reads.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new("info,nom_exif=error,tokio_cron_scheduler=warn")
    });
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if config.log_json { lines.json().init() } else { lines.init() }
}

#[expect(clippy::print_stderr, reason = "why the command failed")]
fn complain(text: &str) {
    eprintln!("endcheck-server: {text}");
}

/// Prints the answer to a command. Whoever reads it may have read enough.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        let _ = writeln!(std::io::stderr(), "the answer cannot be written: {error}");
    }
}
